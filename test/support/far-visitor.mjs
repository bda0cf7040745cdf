// A visitor on a separate machine: `https URL` or `tcp HOST PORT WORDS`. Prints the response.
import { connect } from 'node:net';
import { get } from 'node:https';

const [, , how, ...args] = process.argv;
if (how === 'https') {
  // Other tests check certificates.
  get(args[0], { rejectUnauthorized: false, agent: false }, async (response) => {
    let text = '';
    for await (const chunk of response) text += chunk;
    process.stdout.write(`${response.statusCode} ${text}\n`);
  });
} else {
  const [host, port, words] = args;
  const socket = connect(Number(port), host, () => socket.write(words));
  socket.once('data', (chunk) => {
    process.stdout.write(`${chunk}\n`);
    socket.destroy();
  });
}
