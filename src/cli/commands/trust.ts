import { openLocalCa } from '../../certificates/local-ca.js';
import { shellQuote } from '../../lib/private-file.js';
import type { CommandInput, Context, ExitCode } from '../context.js';
import { printEvent } from '../print.js';
import { changeStore, inspectStore, type Change, type StoreReport } from '../trust/change.js';
import { describeStore, summarizeStore } from '../trust/describe.js';
import { thisMachine } from '../trust/machine.js';
import type { StoreKind } from '../trust/store.js';
import { trustedCertificate, trustNotes, trustStores } from '../trust/stores.js';
import { createStyle } from '../style.js';

interface Options {
  readonly install?: true;
  readonly uninstall?: true;
  readonly store?: readonly StoreKind[];
}

export async function run(context: Context, { options }: CommandInput<Options>): Promise<ExitCode> {
  const { certificateFile: ca, certificatePem, fingerprint } = await openLocalCa(context.paths.caDir);
  const machine = thisMachine(context.env);
  const stores = trustStores(machine, trustedCertificate(ca, certificatePem), options.store);
  const change = options.install ? 'install' : options.uninstall ? 'uninstall' : undefined;
  const { stdout, stderr } = context;
  const style = createStyle(stderr.color);
  if (!context.json) {
    stdout.line(ca);
    stderr.line(`SHA-256 ${fingerprint}`);
    stderr.line(
      style.dim(
        'The CA can issue certificates for local names only (localhost, *.test, …). Its key stays here.',
      ),
    );
    stderr.line();
  }
  const reports: StoreReport[] = [];
  for (const store of stores) {
    const report = await (change ? changeStore(store, change) : inspectStore(store));
    reports.push(report);
    if (!context.json) for (const line of describeStore(report, change, style)) stderr.line(line);
  }
  const notes = trustNotes(machine, stores, ca, options.store);
  const node = { NODE_EXTRA_CA_CERTS: ca };
  if (context.json)
    printEvent(context, 'trust', { ca, fingerprint, env: node, stores: reports.map(summarizeStore), notes });
  else {
    stderr.line();
    if (change === undefined && stores.length > 0)
      stderr.line('`portal trust --install` changes all of them, `--uninstall` undoes it.');
    if (reports.some(({ outcome }) => outcome === 'installed' || outcome === 'removed'))
      stderr.line('Restart browsers that are running.');
    for (const note of notes) stderr.line(style.dim(note));
    stderr.line(`Node.js programs: export NODE_EXTRA_CA_CERTS=${shellQuote(ca)}`);
  }
  return exitCode(reports, change);
}

/** 1 when a store failed, and when every store was skipped. */
function exitCode(reports: readonly StoreReport[], change: Change | undefined): ExitCode {
  if (change === undefined) return 0;
  const outcomes = reports.map(({ outcome }) => outcome);
  return outcomes.includes('failed') || outcomes.every((outcome) => outcome === 'skipped') ? 1 : 0;
}
