import type { CommandWords, OptionWords } from './grammar.js';
import { commandCases, valueCases } from './cases.js';
import { SERVICES_COMMAND } from './services.js';

export function bashCompletion(commands: readonly CommandWords[]): string {
  return `# bash completion of portal; made by: portal completion bash
_portal_services() {
  ${SERVICES_COMMAND}
}

_portal() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" command="" word words=""
  COMPREPLY=()
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$command/$word" in
${commands.flatMap(commandCases).join('\n')}
    esac
  done
  case "$command/$previous" in
${commands.flatMap((command) => valueCases(command, valueWords)).join('\n')}
  esac
  case "$command" in
${commands.map(wordCase).join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}

complete -F _portal portal
`;
}

function valueWords({ value }: OptionWords): string {
  if (value === 'path') return 'COMPREPLY=($(compgen -f -- "$current")); ';
  return Array.isArray(value) ? `COMPREPLY=($(compgen -W "${value.join(' ')}" -- "$current")); ` : '';
}

function wordCase({ name, subcommands, options, choices, takesServices }: CommandWords): string {
  const words = [
    ...subcommands.map(({ word }) => word),
    ...choices,
    ...options.flatMap(({ flags }) => flags),
  ];
  const services = takesServices ? '; [[ $current == -* ]] || words+=" $(_portal_services)"' : '';
  return `    "${name}") words="${words.join(' ')}"${services} ;;`;
}
