/** The record that proves a domain of one's own: a TXT record at this label below the hostname. */
export const PROOF_LABEL = '_portal';
/** What stands before the identity's address in it. */
export const PROOF_PREFIX = 'portal-address=';
