import type { Command } from 'commander';
import type { CommandModule } from '../context.js';

/** Makes commander's action from the import of a command's module. */
export type Execute = <Options extends object>(
  load: () => Promise<CommandModule<Options>>,
  options?: {
    /** The command listens for signals itself. Earlier signals wait until it does. */
    readonly holdsInterrupts?: boolean;
    /** The command serves until it is stopped. */
    readonly serves?: boolean;
  },
) => (this: Command) => Promise<void>;
