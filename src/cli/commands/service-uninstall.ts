import { rm } from 'node:fs/promises';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { printEvent } from '../print.js';
import { installedUnit, unitOf, type ServiceOptions } from '../service/find.js';
import { serviceManager } from '../service/manager.js';
import { needManager } from './service-install.js';

export async function run(context: Context, { options }: CommandInput<ServiceOptions>): Promise<ExitCode> {
  const manager = serviceManager(context.env);
  const unit = await unitOf(context, options);
  const path = manager.path(unit);
  const installed = await installedUnit(manager, unit);
  if (installed) {
    await needManager(manager, `${path} was not removed.`);
    await manager.stop(unit);
    await rm(path, { force: true });
    await manager.forget();
  }
  const action = installed ? 'removed' : 'unchanged';
  if (context.json) printEvent(context, 'service', { unit, path, action });
  else context.stderr.note(installed ? `stopped and removed ${unit}` : `${unit} is not installed`);
  return 0;
}
