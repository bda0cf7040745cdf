import { X509Certificate } from 'node:crypto';
import type { Change } from './change.js';
import type { Machine } from './machine.js';
import { nssStore } from './nss.js';
import { nssPlaces } from './places.js';
import type { StoreKind, TrustedCertificate, TrustStore } from './store.js';
import { systemStore } from './system.js';

/** All stores of these kinds on this machine. */
export function trustStores(
  machine: Machine,
  certificate: TrustedCertificate,
  kinds?: readonly StoreKind[],
): TrustStore[] {
  const system = systemStore(machine, certificate);
  const all = [
    ...(system ? [system] : []),
    ...nssPlaces(machine).map((place) => nssStore(machine, place, certificate)),
  ];
  return all.filter(({ kind }) => kinds === undefined || kinds.includes(kind));
}

/** Throws if `pem` is not a certificate. */
export function trustedCertificate(file: string, pem: string): TrustedCertificate {
  const { subject, fingerprint } = new X509Certificate(pem);
  const name = /^CN=(.+)$/m.exec(subject)?.[1] ?? 'Portal local CA';
  return { file, pem, name, thumbprint: fingerprint.replaceAll(':', '') };
}

/** Programs whose stores Portal does not manage. */
export function trustNotes(
  { platform }: Machine,
  stores: readonly TrustStore[],
  file: string,
  {
    kinds,
    change,
  }: { readonly kinds?: readonly StoreKind[] | undefined; readonly change?: Change | undefined },
): string[] {
  const isMissing = (kind: StoreKind): boolean =>
    (kinds?.includes(kind) ?? true) && !stores.some((store) => store.kind === kind);
  const notes: string[] = [];
  const isRemoval = change === 'uninstall';
  if (isMissing('system'))
    notes.push(
      `Portal does not know the certificate store of this system. ${isRemoval ? `If you imported ${file}, remove it there.` : `Import ${file}.`}`,
    );
  // On other systems, its database is among the stores, or the browser is not installed.
  if (kinds?.includes('chromium') && isMissing('chromium'))
    notes.push('No Chromium database found. Outside Linux, Chromium uses the store of the system.');
  if (isMissing('firefox') && platform === 'win32')
    notes.push('On Windows, Firefox uses the store of the system.');
  else if (isMissing('firefox') && !isRemoval)
    notes.push('No Firefox profile found. After its first start, run `portal trust --install` again.');
  return notes;
}
