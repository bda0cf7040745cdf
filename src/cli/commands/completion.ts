import { bashCompletion } from '../completion/bash.js';
import { fishCompletion } from '../completion/fish.js';
import { commandWords } from '../completion/grammar.js';
import { zshCompletion } from '../completion/zsh.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { printEvent } from '../print.js';
import { grammarOnly } from '../grammar/program.js';

const SHELLS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion };

export function run(context: Context, { args }: CommandInput<object>): Promise<ExitCode> {
  // The grammar allows only these shells.
  const shell = args[0] as keyof typeof SHELLS;
  const script = SHELLS[shell](commandWords(grammarOnly()));
  if (context.json) printEvent(context, 'completion', { shell, script });
  else context.stdout.write(script);
  return Promise.resolve(0);
}
