import { createInterface } from 'node:readline';

/** Runs at the switch and reads metrics. On {read: {name: url}} it prints {metrics: {name: {series: value}}}. */

const TIMEOUT_MS = 10_000;

async function read(url) {
  const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  const lines = (await response.text()).split('\n').filter((line) => line.startsWith('portal_relay_'));
  return Object.fromEntries(
    lines.map((line) => {
      const space = line.lastIndexOf(' ');
      return [line.slice('portal_relay_'.length, space), Number(line.slice(space + 1))];
    }),
  );
}

createInterface({ input: process.stdin })
  .on('line', async (text) => {
    const asked = Object.entries(JSON.parse(text).read).map(async ([name, url]) => [
      name,
      await read(url).catch((error) => ({ error: error.cause?.code ?? error.message })),
    ]);
    process.stdout.write(`${JSON.stringify({ metrics: Object.fromEntries(await Promise.all(asked)) })}\n`);
  })
  .on('close', () => process.exit(0));
