/** npm's messages when no registry is reachable. */
export const OFFLINE = /ENOTFOUND|ECONNREFUSED|ETIMEDOUT|ECONNRESET|EAI_AGAIN|ENOTCACHED|network/;
