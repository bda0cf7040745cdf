import { linkPath } from '../../agent/access/share/path.js';
import { PortalError } from '../../lib/errors.js';
import { utcText } from '../text/amounts.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { isShareable } from '../live/actions.js';
import { findAgent } from '../running/find-agent.js';
import { printEvent } from '../print.js';
import { printable } from '../text/style.js';
import { checkServices } from '../../library/unknown-service.js';

interface Options {
  /** Milliseconds since the epoch. */
  readonly until?: number;
  readonly path: string;
  readonly file?: string;
  readonly pid?: number;
}

const DEFAULT_MS = 24 * 3_600_000;

export async function run(context: Context, { args, options }: CommandInput<Options>): Promise<ExitCode> {
  const [service = ''] = args;
  const path = linkPath(options.path);
  if (path === undefined)
    throw new PortalError('usage', `${JSON.stringify(options.path)} cannot be the path of a link`, {
      hint: 'Use a path such as /demo, without escapes, `..`, `//`, `;` or a query.',
    });
  const agent = await findAgent(context, options, { listsOthers: true });
  const { services, waiting } = await agent.readiness();
  checkServices([service], [...Object.keys(services), ...waiting.map((each) => each.service)], 'the agent');
  const shared = await agent.share({ service, path, until: options.until ?? Date.now() + DEFAULT_MS });
  if (context.json) printEvent(context, 'shared', shared);
  else for (const link of shared.links) context.stdout.line(printable(link));
  const where = path === '/' ? '' : ` at ${path} and below`;
  context.stderr.note(
    `${whoOpens(shared.links)} can visit ${printable(service)}${where} until ${utcText(Date.parse(shared.until))}. To end it: portal share revoke ${shared.id}`,
  );
  return 0;
}

/** Names below localhost lead every machine to itself. */
const whoOpens = (links: readonly string[]): string =>
  links.some(isShareable) ? 'Anyone with this link' : 'Anyone on this machine with this link';
