import { basename } from 'node:path';
import type { SignInFailure } from '../agent/access/gate.js';
import type { NameRejection } from '../agent/lease/rejected-name.js';
import type { CertificateNews } from '../certificates/source.js';
import { caName, certificatesFrom } from '../certificates/spec.js';
import { maskUrl } from '../config/variables/mask-urls.js';

/** Something that was created, or that differs from what was requested. Users see `message` once. */
export type Notice = { readonly message: string } & (
  | {
      readonly kind: 'port_in_use';
      readonly askedPort: number;
      readonly port: number;
      /** The program that uses `askedPort`, if the system tells. */
      readonly holder?: string;
    }
  | { readonly kind: 'lock_written' | 'lock_changed'; readonly file: string; readonly relay: string }
  | { readonly kind: 'identity_created'; readonly file: string; readonly address: string }
  | { readonly kind: 'ca_created'; readonly file: string }
  | {
      readonly kind: 'terms_agreed';
      /** URL of the CA's directory, without secrets. */
      readonly directory: string;
    }
  | {
      readonly kind: 'name_rejected';
      readonly service: string;
      readonly framework: string;
      readonly name: string;
    }
  | {
      readonly kind: 'dns_missing';
      readonly service: string;
      /** The public name that has no address. */
      readonly name: string;
      /** The domain of the relay. */
      readonly domain: string;
    }
  | {
      /** The certificate changed, or was not renewed: a new one failed, or it expires soon. */
      readonly kind:
        | 'certificate_renewed'
        | 'certificate_failed'
        | 'certificate_restored'
        | 'certificate_expires';
      readonly service: string;
      /** When the current certificate expires, RFC 3339. */
      readonly notAfter: string;
    }
  | {
      /** Visitors cannot sign in with the provider of `access.oidc`. */
      readonly kind: 'sign_in_failed';
      readonly service: string;
      readonly issuer: string;
    }
  | {
      readonly kind: 'command_port';
      readonly service: string;
      readonly name: string;
      /** The port on which the command listens. */
      readonly port: number;
      /** The port in its `PORT`. */
      readonly askedPort: number;
    }
  | { readonly kind: 'replicas_missing'; readonly service: string; readonly relay: string }
  | { readonly kind: 'carrier_fallback'; readonly relay: string; readonly carrier: 'ws' }
);

/** Finds the program that listens on a port, for messages. Undefined if the system does not tell. */
export type PortHolder = (port: number) => Promise<string | undefined>;

interface PortInUse {
  readonly askedPort: number;
  readonly port: number;
  readonly holder: string | undefined;
}

/** @param message the message, from `port 8443 is in use by another Portal agent (pid 12)` */
export function portInUse(
  { askedPort, port, holder }: PortInUse,
  message: (inUse: string) => string,
): Notice {
  const by = holder === undefined ? '' : ` by ${holder}`;
  return {
    kind: 'port_in_use',
    message: message(`port ${askedPort} is in use${by}`),
    askedPort,
    port,
    ...(holder !== undefined && { holder }),
  };
}

export function lockNotice(file: string, relay: string, isNew: boolean): Notice {
  const name = basename(file);
  return isNew
    ? { kind: 'lock_written', message: `wrote ${name}; commit it`, file, relay }
    : { kind: 'lock_changed', message: `added ${relay.replace(/^https:\/\//, '')} to ${name}`, file, relay };
}

export function identityCreated(file: string, address: string): Notice {
  const message = `created identity ${address} in ${file}; keep a copy: portal identity export`;
  return { kind: 'identity_created', message, file, address };
}

/** @param replaces as in `LocalCaOptions.onCreated` */
export function caCreated(file: string, replaces?: string): Notice {
  const message =
    replaces === undefined
      ? `created a local CA, ${file}; trust it: portal trust --install`
      : `replaced the local CA ${file}, because its certificate ${replaces}; trust the new one: portal trust --install`;
  return { kind: 'ca_created', message, file };
}

export function termsAgreed(directory: string): Notice {
  return {
    kind: 'terms_agreed',
    message: `Portal gets ${certificatesFrom(caName(directory))}`,
    directory: maskUrl(directory),
  };
}

export function nameRejected(service: string, { id, name, message, hint }: NameRejection): Notice {
  return { kind: 'name_rejected', message: `${service}: ${message}. ${hint}`, service, framework: id, name };
}

export function replicasMissing(service: string, relay: string): Notice {
  return {
    kind: 'replicas_missing',
    message: `${service}: ${relay} has a version without replicas, so only one agent serves the name there, and another takes over when it stops. Update the relay`,
    service,
    relay,
  };
}

export function dnsMissing(service: string, name: string, domain: string): Notice {
  return {
    kind: 'dns_missing',
    message: `${name} has no address in DNS, so visitors cannot reach it. *.${domain} needs a DNS record that points to ${domain}; run portal doctor`,
    service,
    name,
    domain,
  };
}

export function certificateNews(service: string, news: CertificateNews): Notice {
  const { kind, notAfter } = news;
  const details = { service, notAfter: notAfter.toISOString() };
  return { kind: `certificate_${kind}`, message: `${service}: ${describeCertificate(news)}`, ...details };
}

function describeCertificate(news: CertificateNews): string {
  const end = momentOf(news.notAfter);
  switch (news.kind) {
    case 'renewed':
      return `visitors get a new certificate, valid until ${end}`;
    case 'restored':
      return `the certificate is in its file again, valid until ${end}`;
    case 'failed': {
      const { message, hint } = news.error;
      const advice = hint === undefined ? '' : `. ${hint}`;
      return `the new certificate failed, so visitors get the current one, valid until ${end}: ${message}${advice}`;
    }
    default: {
      const where = news.file === undefined ? 'the certificate' : `the certificate in ${news.file}`;
      const advice = news.file === undefined ? '' : '. Renew it; Portal loads the new file automatically';
      const hasEnded = news.notAfter.getTime() <= Date.now();
      return hasEnded
        ? `${where} expired at ${end}, so browsers reject it${advice}`
        : `${where} is valid until ${end}${advice}`;
    }
  }
}

const momentOf = (at: Date): string => `${at.toISOString().slice(0, 16).replace('T', ' ')} UTC`;

export function signInFailed(service: string, { kind, issuer, reason }: SignInFailure): Notice {
  const message =
    kind === 'down'
      ? `${service}: visitors cannot sign in: ${reason}`
      : `${service}: a visitor could not sign in with ${new URL(issuer).host}: ${reason}. Check access.oidc`;
  return { kind: 'sign_in_failed', message, service, issuer };
}

export function commandPort(service: string, name: string, port: number, askedPort: number): Notice {
  return {
    kind: 'command_port',
    message: `${name}: its command listens on port ${port}, and visitors go to port ${askedPort}. Give the command the port, for example with --port $PORT, or write target: ${port}`,
    service,
    name,
    port,
    askedPort,
  };
}
