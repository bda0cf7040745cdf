import type { CommandLine } from '../programs.js';

const STORE_KINDS = ['system', 'chromium', 'firefox'] as const;

/** `chromium` is the database that Chromium, Chrome and related browsers share. */
export type StoreKind = (typeof STORE_KINDS)[number];

export const STORE_PATTERN = new RegExp(`^(${STORE_KINDS.join('|')})$`);

/** A CA certificate that stores can trust. */
export interface TrustedCertificate {
  readonly file: string;
  readonly pem: string;
  /** Its common name, which contains an id of its key: `Portal local CA 1a2b3c4d`. */
  readonly name: string;
  /** SHA-1 of the certificate, hex: its name in the stores of macOS and Windows. */
  readonly thumbprint: string;
}

/** A list of trusted CAs that programs on this machine use. */
export interface TrustStore {
  readonly kind: StoreKind;
  /** The programs or the user that it belongs to, for messages. */
  readonly name: string;
  readonly path: string;
  /** False for a store that `install` creates. */
  readonly exists: boolean;
  /** Commands that do the same as `install()` and `uninstall()`, for people to run. */
  readonly commands: { readonly install: readonly CommandLine[]; readonly uninstall: readonly CommandLine[] };
  /** Why this process cannot change the store. */
  readonly obstacle?: Obstacle;
  inspect(): Promise<StoreState>;
  /** Both throw an `Error` with the reason. */
  install(): Promise<void>;
  uninstall(): Promise<void>;
}

export interface Obstacle {
  /** True if the situation may be intended: not root, another user's folder. */
  readonly isExpected: boolean;
  readonly message: string;
  readonly hint: string;
}

export interface StoreState {
  /** Undefined when the store cannot be read. */
  readonly trusted: boolean | undefined;
  /** Whether the store contains the certificate, trusted or not. */
  readonly present: boolean;
  /** Why the store cannot be read. */
  readonly problem?: string;
}

/** The base64 text of a PEM certificate without line breaks, which differ between tools. */
function pemBody(pem: string): string {
  return pem.replaceAll(/-----[A-Z ]+-----|\s/g, '');
}

/** Whether `bundle` contains this certificate. */
export function holds(bundle: string, pem: string): boolean {
  return bundle.replaceAll(/\s/g, '').includes(pemBody(pem));
}
