import { OidcProvider } from '../../agent/access/oidc-provider.js';
import type { ServiceSpec } from '../../agent/spec.js';
import { proxyFor } from '../proxy.js';
import type { Subject } from './report.js';

/** Checks that visitors can sign in with the provider of `access.oidc`, as far as it shows without a person. */
export async function checkSignIn({ access: { oidc } }: ServiceSpec, subject: Subject): Promise<void> {
  if (!oidc) return;
  const { issuer } = oidc;
  try {
    await new OidcProvider(oidc, proxyFor).check();
    subject.ok('service.oidc', `visitors can sign in: the provider ${new URL(issuer).host} responds`);
  } catch (error) {
    subject.problem(
      'service.oidc',
      `visitors cannot sign in: ${(error as Error).message}`,
      `Check \`access.oidc: { issuer }\`. Its settings must be at ${issuer.replace(/\/$/, '')}/.well-known/openid-configuration.`,
      { cause: `oidc ${issuer}` },
    );
  }
}
