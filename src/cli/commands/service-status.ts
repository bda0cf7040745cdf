import { existsSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { printEvent } from '../print.js';
import { installedUnit, unitOf, type ServiceOptions } from '../service/find.js';
import { serviceManager } from '../service/manager.js';
import { SIGNS } from '../text/signs.js';
import { createStyle, printable } from '../text/style.js';

/** Exits 1 unless the service is active. */
export async function run(context: Context, { options }: CommandInput<ServiceOptions>): Promise<ExitCode> {
  const manager = serviceManager(context.env);
  const unit = await unitOf(context, options);
  const path = manager.path(unit);
  const installed = await installedUnit(manager, unit);
  const absent = await manager.absent();
  const isKnown = installed !== undefined && absent === undefined;
  const active = isKnown && (await manager.isActive(unit));
  const enabled = isKnown && (await manager.isEnabled(unit));
  const boot = isKnown ? await manager.bootHint() : undefined;
  const missing = installed
    ? manager.programsOf(installed.text).filter((program) => isAbsolute(program) && !existsSync(program))
    : [];
  if (context.json) {
    const { file } = installed ?? {};
    const state = { installed: installed !== undefined, active, enabled, missing };
    printEvent(context, 'service', { unit, path, ...(file && { file }), ...state, ...(boot && { boot }) });
    return active ? 0 : 1;
  }
  const { stdout } = context;
  const { green, yellow } = createStyle(stdout.color);
  const line = (good: boolean, text: string): void =>
    stdout.line(`${good ? green(SIGNS.ok) : yellow(SIGNS.warning)} ${printable(text)}`);
  line(installed !== undefined, installed ? `${unit} runs ${installed.file}` : `${unit} is not installed`);
  if (absent !== undefined) line(false, `${manager.name} is not running for this user (${absent})`);
  if (!isKnown) return 1;
  line(active, active ? 'active' : `not active. See its output: ${manager.logs(unit)}`);
  line(
    enabled,
    enabled ? 'starts automatically' : 'does not start automatically. Run: portal service install',
  );
  if (boot !== undefined) line(false, `starts when you log in. To start it at boot, run: ${boot}`);
  for (const program of missing) line(false, `${program} is missing. Run \`portal service install\` again.`);
  return active ? 0 : 1;
}
