import { resolve } from 'node:path';
import type { CommandSpec } from '../agent/spec.js';
import { FREE_PORT, parseTarget, type Target } from '../net/target/target.js';
import type { Desired } from './desired.js';
import type { RouteOptions } from './schema/types.js';

/** The settings of a service or a route that concern its program. */
type Options = Pick<RouteOptions, 'target' | 'command' | 'cwd' | 'env'>;

/** A command without a target listens on a port that the agent chooses. */
export function targetOf({ target }: Options): Target {
  return target === undefined ? FREE_PORT : parseTarget(target);
}

export function commandOf({ command, cwd, env = {} }: Options, directory: string): { command?: CommandSpec } {
  if (command === undefined) return {};
  return { command: { run: command, cwd: resolve(directory, cwd ?? '.'), env } };
}

/** The configuration with these variables of `envFile` for each command. */
export function withCommandVariables(desired: Desired, envFile: Readonly<Record<string, string>>): Desired {
  const withVariables = ({ command }: { readonly command?: CommandSpec }): { command?: CommandSpec } =>
    command ? { command: { ...command, envFile } } : {};
  const services = desired.services.map((spec) => ({
    ...spec,
    ...withVariables(spec),
    routes: spec.routes.map((route) => ({ ...route, ...withVariables(route) })),
  }));
  return { ...desired, services };
}
