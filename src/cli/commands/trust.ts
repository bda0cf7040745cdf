import { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { openLocalCa } from '../../certificates/local-ca.js';
import { homeFolder } from '../../lib/paths.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { printEvent } from '../print.js';
import { createStyle } from '../style.js';
import { trustCommands, type TrustCommands } from '../trust/commands.js';
import { commandText, runCommands } from '../trust/run-commands.js';

interface Options {
  readonly install?: true;
  readonly uninstall?: true;
}

export async function run(context: Context, { options }: CommandInput<Options>): Promise<ExitCode> {
  const { certificateFile, certificatePem, fingerprint } = await openLocalCa(context.paths.caDir);
  const commands = trustCommands(
    {
      platform: process.platform,
      home: homeFolder(context.env),
      isRoot: process.getuid?.() === 0,
      exists: existsSync,
    },
    {
      file: certificateFile,
      thumbprint: new X509Certificate(certificatePem).fingerprint.replaceAll(':', ''),
    },
  );
  if (!context.json) describe(context, { certificateFile, fingerprint }, commands, options);
  const chosen = options.install ? commands.install : options.uninstall ? commands.uninstall : [];
  await runCommands(chosen, (line) => context.stderr.line(line));
  if (context.json) {
    const { install, uninstall, notes } = commands;
    printEvent(context, 'trust', { ca: certificateFile, fingerprint, install, uninstall, notes });
  }
  return 0;
}

interface Ca {
  readonly certificateFile: string;
  readonly fingerprint: string;
}

function describe(context: Context, ca: Ca, commands: TrustCommands, options: Options): void {
  const { stdout, stderr } = context;
  const { bold, dim } = createStyle(stderr.color);
  stdout.line(ca.certificateFile);
  stderr.line(`SHA-256 ${ca.fingerprint}`);
  stderr.line(
    dim('Its key can vouch for local names alone (localhost, *.test, …), and stays on this machine.'),
  );
  if (options.install || options.uninstall) return;
  stderr.line();
  stderr.line(bold('To trust it (or: portal trust --install):'));
  for (const command of commands.install) stderr.line(`  ${commandText(command)}`);
  stderr.line(bold('To take that back (or: portal trust --uninstall):'));
  for (const command of commands.uninstall) stderr.line(`  ${commandText(command)}`);
  for (const note of commands.notes) stderr.line(dim(note));
}
