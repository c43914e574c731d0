#compdef tenure
# Completions of tenure for zsh. Load them after compinit:  source <(tenure completions zsh)
# or write this into a file named _tenure in a directory of $fpath.

# Asks the program itself. What it prints are whole lines, which compadd quotes, and nothing of it
# is expanded or evaluated here. Where it cannot answer, nothing is offered.
_tenure() {
    (( $+commands[tenure] )) || return 1
    local -a before answer names shown
    local line what
    integer begin
    before=("${(@Q)words[1,CURRENT-1]}")
    answer=("${(@f)$(command tenure complete zsh -- "${before[@]}" "${(Q)PREFIX}" 2> /dev/null < /dev/null)}")
    what=${answer[1]%% *}
    begin=${answer[1]##* }
    case $what in
    values | open)
        for line in "${(@)answer[2,-1]}"; do
            [[ -n $line ]] || continue
            names+=("${line%%$'\t'*}")
            if [[ -n ${line#*$'\t'} ]]; then
                shown+=("${line%%$'\t'*}  -- ${line#*$'\t'}")
            else
                shown+=("${line%%$'\t'*}")
            fi
        done
        (( $#names )) || return 1
        (( begin )) && compset -p $begin
        if [[ $what == open ]]; then
            compadd -V tenure -S '' -a names
        else
            compadd -l -V tenure -d shown -a names
        fi
        ;;
    files)
        (( begin )) && compset -p $begin
        _files
        ;;
    directories)
        (( begin )) && compset -p $begin
        _files -/
        ;;
    command)
        # The command of a job completes as it does alone.
        shift $begin words
        (( CURRENT -= begin ))
        _normal
        ;;
    *)
        return 1
        ;;
    esac
}

if [[ $funcstack[1] == _tenure ]]; then
    _tenure "$@"
else
    compdef _tenure tenure
fi
