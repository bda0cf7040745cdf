import { script } from '../lib/children.mjs';
import { KINDS, startContenders, variant } from '../lib/contenders.mjs';
import { inTurns, pickResult } from '../lib/load.mjs';

const CONNECTIONS = 16;
/** Messages of one connection that are in transit at a time. */
const IN_FLIGHT = 16;
const BYTES = 64;

/** Round trips of small messages over WebSockets, through mode http and mode stream. */
export async function websocket(world) {
  const load = async ({ port, servername, caFile }, measure) => {
    const { seconds } = world;
    const client = script('websocket.mjs', {
      port,
      servername,
      caFile,
      seconds,
      connections: CONNECTIONS,
      inFlight: IN_FLIGHT,
      bytes: BYTES,
    });
    const { error } = await client.line((line) => line.started || line.error);
    if (error) throw new Error(`a WebSocket was not served: ${error}`);
    measure.begin();
    const done = await client.line((line) => line.done || line.error, (seconds + 20) * 1000);
    if (done.error) throw new Error(`a WebSocket ended: ${done.error}`);
    const cpu = measure.cpu();
    await client.stop();
    return {
      'messages/s': done.messages / done.seconds,
      messages: done.messages,
      work: done.messages,
      enough: 100_000,
      client: done.cpuSeconds,
      cpu,
    };
  };
  const all = await inTurns(world, load, (theirs) => startContenders(theirs, KINDS.websocket));
  const more = { connections: CONNECTIONS, inFlight: IN_FLIGHT, bytes: BYTES };
  return ['', ' stream'].flatMap((suffix) => {
    const runs = variant(all, suffix);
    const name = `websocket${suffix.replace(' ', '.')}`;
    return [
      pickResult(name, 'messages/s', runs, (run) => run['messages/s'], more),
      pickResult(`${name}.cpu.relay`, 'CPU-µs/message', runs, each('relay')),
      pickResult(`${name}.cpu.agent`, 'CPU-µs/message', runs, each('agent')),
      pickResult(`${name}.cpu.client`, 'CPU-µs/message', runs, (run) => (run.client / run.messages) * 1e6),
    ];
  });
}

const each = (stage) => (run) => (run.cpu[stage] / run.messages) * 1e6;
