# Completions of tenure for bash 4.4 or later. Load them:  eval "$(tenure completions bash)"
# or write this into a file: ~/.local/share/bash-completion/completions/tenure

# Asks the program itself. What it prints are whole lines, quoted for this shell, and nothing of it
# is expanded or evaluated here. Where it cannot answer, nothing is offered.
_tenure() {
    local -a answer
    local what
    COMPREPLY=()
    type -P tenure > /dev/null || return 0
    mapfile -t answer < <(command tenure complete bash -- "${COMP_WORDS[@]:0:COMP_CWORD+1}" 2> /dev/null < /dev/null)
    what=${answer[0]-}
    case $what in
    values | open)
        COMPREPLY=("${answer[@]:1}")
        if [[ $what == open ]]; then
            compopt -o nospace 2> /dev/null
        fi
        ;;
    files*)
        compopt -o default 2> /dev/null
        ;;
    directories*)
        compopt -o dirnames 2> /dev/null
        ;;
    command*)
        # The command of a job completes as it does alone, where the functions for that are loaded.
        if declare -F _comp_command_offset > /dev/null; then
            _comp_command_offset "${what##* }"
        elif declare -F _command_offset > /dev/null; then
            _command_offset "${what##* }"
        else
            compopt -o default 2> /dev/null
        fi
        ;;
    esac
    return 0
}

complete -o nosort -F _tenure tenure
