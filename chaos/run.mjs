/** `npm run chaos`: relays that are peers of each other, or with `--cluster` nodes of one relay. */
if (process.argv.includes('--cluster')) await import('./cluster/run.mjs');
else await import('./peers.mjs');
