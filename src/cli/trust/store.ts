import type { CommandLine } from '../programs.js';

const STORE_KINDS = ['system', 'chromium', 'firefox'] as const;

/** `chromium` is the database that Chromium, Chrome and their relatives share. */
export type StoreKind = (typeof STORE_KINDS)[number];

export const STORE_PATTERN = new RegExp(`^(${STORE_KINDS.join('|')})$`);

/** The CA that stores trust, or not. */
export interface TrustedCertificate {
  readonly file: string;
  readonly pem: string;
  /** Its common name, which holds an id of its key: `Portal local CA 1a2b3c4d`. */
  readonly name: string;
  /** SHA-1 of the certificate in hex: the name that the stores of macOS and Windows know it by. */
  readonly thumbprint: string;
}

/** A place where programs of this machine look up which CAs they trust. */
export interface TrustStore {
  readonly kind: StoreKind;
  /** Whose it is, for people. */
  readonly name: string;
  readonly path: string;
  /** False for a store that `install` creates. */
  readonly exists: boolean;
  /** The same as `install()` and `uninstall()`, for people to run. */
  readonly commands: { readonly install: readonly CommandLine[]; readonly uninstall: readonly CommandLine[] };
  /** Why this process cannot change the store. */
  readonly obstacle?: Obstacle;
  look(): Promise<Look>;
  /** Both throw an `Error` with the reason. */
  install(): Promise<void>;
  uninstall(): Promise<void>;
}

export interface Obstacle {
  /** True where the person may well have meant it: not root, another user's folder. */
  readonly isExpected: boolean;
  readonly message: string;
  readonly hint: string;
}

export interface Look {
  /** Undefined when the store cannot be read. */
  readonly trusted: boolean | undefined;
  /** True when the certificate is in the store, trusted or not. */
  readonly present: boolean;
  /** Why the store cannot be read. */
  readonly problem?: string;
}

/** The text between the lines of a PEM certificate: each tool breaks its lines elsewhere. */
function pemBody(pem: string): string {
  return pem.replaceAll(/-----[A-Z ]+-----|\s/g, '');
}

/** True when one of the certificates of `bundle` is this one. */
export function holds(bundle: string, pem: string): boolean {
  return bundle.replaceAll(/\s/g, '').includes(pemBody(pem));
}
