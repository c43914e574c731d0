# Completions of tenure for fish. Write this into ~/.config/fish/completions/tenure.fish

# Asks the program itself. What it prints are whole lines, which fish quotes, and nothing of it is
# expanded or evaluated here. Where it cannot answer, nothing is offered.
function __tenure_complete
    type -q -f tenure; or return 0
    set -l typed (commandline -ct)
    set -l plain (string unescape -- $typed 2> /dev/null; or string trim --left --chars "'\"" -- $typed)
    set -l answer (command tenure complete fish -- (commandline -opc) "$plain" 2> /dev/null < /dev/null)
    switch "$answer[1]"
        case values open
            test (count $answer) -gt 1; and printf '%s\n' $answer[2..-1]
        case 'files*' 'directories*' 'command*'
            __fish_complete_path "$plain"
    end
end

complete -c tenure -f -k -a '(__tenure_complete)'
