import type { CommandWords, OptionWords } from './grammar.js';
import { commandCases, valueCases } from './cases.js';
import { SERVICES_COMMAND } from './services.js';

export function zshCompletion(commands: readonly CommandWords[]): string {
  return `#compdef portal
# zsh completion of portal; made by: portal completion zsh

_portal() {
  local command="" word
  local -a entries
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "$command/$word" in
${commands.flatMap(commandCases).join('\n')}
    esac
  done
  case "$command/\${words[CURRENT-1]}" in
${commands.flatMap((command) => valueCases(command, valueWords)).join('\n')}
  esac
  case "$command" in
${commands.map(wordCase).join('\n')}
  esac
  _describe portal entries
}

# Loaded from fpath the file is the function's body; sourced, it registers the function.
if [[ "\${funcstack[1]}" == _portal ]]; then _portal "$@"; else compdef _portal portal; fi
`;
}

function valueWords({ value }: OptionWords): string {
  if (value === 'path') return '_files; ';
  return Array.isArray(value) ? `compadd -- ${value.join(' ')}; ` : '';
}

function wordCase({ name, subcommands, options, choices, takesServices }: CommandWords): string {
  const entries = [
    ...subcommands.map(({ word, description }) => entry(word, description)),
    ...choices.map((choice) => entry(choice, '')),
    ...options.flatMap(({ flags, description }) => flags.map((flag) => entry(flag, description))),
  ];
  const services = takesServices ? `; entries+=($(${SERVICES_COMMAND}))` : '';
  return `    "${name}") entries=(${entries.join(' ')})${services} ;;`;
}

/** `word:description` in single quotes. Escapes the word's colons and the text's quotes. */
function entry(word: string, description: string): string {
  const text = description ? `${word.replaceAll(':', '\\:')}:${description}` : word;
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
