/** The TXT record that proves a user's own domain is at this label below the hostname. */
export const PROOF_LABEL = '_portal';
/** The record's prefix before the identity's address. */
export const PROOF_PREFIX = 'portal-address=';
