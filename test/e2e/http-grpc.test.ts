import {
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  status,
  type Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientWritableStream,
  type GrpcObject,
  type sendUnaryData,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceClientConstructor,
  type ServiceError,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { loadPackageDefinition } from '@grpc/grpc-js';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { httpSpec } from '../support/http-edge.js';
import { agent, desired, httpService, relay, service } from '../support/world.js';
import type { ServiceSpec } from '../../src/agent/spec.js';

/** A real gRPC server and client, through relay and agent. */

interface Words {
  text: string;
}

const PROTO = fileURLToPath(new URL('../fixtures/talk.proto', import.meta.url));
const { Talk } = (loadPackageDefinition(loadSync(PROTO)) as unknown as { talk: GrpcObject })
  .talk as unknown as {
  Talk: ServiceClientConstructor;
};

async function talkServer(): Promise<{ port: number; cancelled: () => number }> {
  const server = new Server();
  let cancelled = 0;
  server.addService(Talk.service, {
    say(call: ServerUnaryCall<Words, Words>, reply: sendUnaryData<Words>) {
      const trailer = new Metadata();
      trailer.set('x-trailer', 'at the end');
      const initial = new Metadata();
      initial.set('x-initial', String(call.metadata.get('x-asked')[0] ?? ''));
      call.sendMetadata(initial);
      reply(null, { text: `${call.request.text}!` }, trailer);
    },
    gather(call: ServerReadableStream<Words, Words>, reply: sendUnaryData<Words>) {
      const received: string[] = [];
      call.on('data', ({ text }: Words) => received.push(text));
      call.on('end', () => reply(null, { text: received.join('+') }));
    },
    split(call: ServerWritableStream<Words, Words>) {
      for (const text of call.request.text.split('+')) call.write({ text });
      call.end();
    },
    chat(call: ServerDuplexStream<Words, Words>) {
      call.on('data', ({ text }: Words) => call.write({ text: `${text}?` }));
      call.on('end', () => call.end());
    },
    fail(_call: ServerUnaryCall<Words, Words>, reply: sendUnaryData<Words>) {
      const metadata = new Metadata();
      metadata.set('x-why', 'because');
      reply({ code: status.FAILED_PRECONDITION, details: 'not now, ünicode', metadata });
    },
    sleep(call: ServerUnaryCall<Words, Words>) {
      call.on('cancelled', () => cancelled++);
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  onTestFinished(() => server.forceShutdown());
  return { port, cancelled: () => cancelled };
}

type Call<T> = (...args: unknown[]) => T;

async function published(spec: ServiceSpec): Promise<Client & Record<string, Call<unknown>>> {
  const at = await relay();
  const one = await agent();
  await one.runner.apply(desired([at.spec], spec));
  await one.event('ready');
  const client = new Talk(`127.0.0.1:${at.port}`, credentials.createSsl(Buffer.from(one.ca.certificatePem)), {
    'grpc.ssl_target_name_override': `${spec.name}.localhost`,
    'grpc.default_authority': `${spec.name}.localhost`,
  });
  onTestFinished(() => client.close());
  return client as unknown as Client & Record<string, Call<unknown>>;
}

describe.each<[string, (port: number) => ServiceSpec]>([
  ['mode http', (port) => httpSpec('talk', { '/': port })],
  ['mode stream', (port) => service('talk', port, { alpn: ['h2'] })],
])('gRPC in %s', (_mode, specOf) => {
  it('transfers calls of all four kinds, with metadata and trailers', async () => {
    const client = await published(specOf((await talkServer()).port));
    const requested = new Metadata();
    requested.set('x-asked', 'hello');
    const received: Record<string, unknown> = {};
    const answer = await new Promise<Words>((resolve, reject) => {
      const call = client['say']!({ text: 'hi' }, requested, (error: ServiceError | null, words: Words) => {
        if (error) reject(error);
        else setImmediate(resolve, words);
      }) as ClientReadableStream<Words>;
      call.on('metadata', (metadata: Metadata) => (received['initial'] = metadata.get('x-initial')[0]));
      call.on(
        'status',
        ({ metadata }: { metadata: Metadata }) => (received['trailer'] = metadata.get('x-trailer')[0]),
      );
    });
    expect({ text: answer.text, ...received }).toEqual({
      text: 'hi!',
      initial: 'hello',
      trailer: 'at the end',
    });

    const gathered = await new Promise<Words>((resolve, reject) => {
      const call = client['gather']!((error: ServiceError | null, words: Words) =>
        error ? reject(error) : resolve(words),
      ) as ClientWritableStream<Words>;
      for (const text of ['a', 'b', 'c']) call.write({ text });
      call.end();
    });
    expect(gathered.text).toBe('a+b+c');

    const split = client['split']!({ text: 'x+y+z' }) as ClientReadableStream<Words>;
    const parts: string[] = [];
    for await (const { text } of split as AsyncIterable<Words>) parts.push(text);
    expect(parts).toEqual(['x', 'y', 'z']);

    const chat = client['chat']!() as ClientDuplexStream<Words, Words>;
    for (const text of ['one', 'two']) {
      chat.write({ text });
      const [reply] = (await once(chat, 'data')) as [Words];
      expect(reply.text).toBe(`${text}?`);
    }
    chat.end();
    const [{ code }] = (await once(chat, 'status')) as [{ code: number }];
    expect(code).toBe(status.OK);
  });

  it('transfers failures with their status, details and metadata', async () => {
    const client = await published(specOf((await talkServer()).port));
    const error = await new Promise<ServiceError>((resolve) => {
      client['fail']!({ text: '' }, (failure: ServiceError) => resolve(failure));
    });
    expect(error).toMatchObject({ code: status.FAILED_PRECONDITION, details: 'not now, ünicode' });
    expect(error.metadata.get('x-why')).toEqual(['because']);
  });

  it('ends calls at their deadline, on the server too', async () => {
    const { port, cancelled } = await talkServer();
    const client = await published(specOf(port));
    const error = await new Promise<ServiceError>((resolve) => {
      client['sleep']!({ text: '' }, { deadline: Date.now() + 500 }, (failure: ServiceError) =>
        resolve(failure),
      );
    });
    expect(error.code).toBe(status.DEADLINE_EXCEEDED);
    await expect.poll(cancelled).toBe(1);
  });
});

describe('gRPC to a server without gRPC', () => {
  it('reaches a plain HTTP/1.1 server as HTTP/1.1, never as HTTP/2', async () => {
    const versions: string[] = [];
    const { port } = await httpService((request, response) => {
      versions.push(request.httpVersion);
      response.writeHead(404).end();
    });
    const client = await published(httpSpec('talk', { '/': port }));
    const error = await new Promise<ServiceError>((resolve) => {
      client['say']!({ text: '' }, (failure: ServiceError) => resolve(failure));
    });
    expect(error.code).toBe(status.UNIMPLEMENTED);
    expect(versions).toEqual(['1.1']);
  });

  it('reports that the server is down', async () => {
    const client = await published(httpSpec('talk', { '/': 1 }));
    const error = await new Promise<ServiceError>((resolve) => {
      client['say']!({ text: '' }, (failure: ServiceError) => resolve(failure));
    });
    expect(error.code).toBe(status.UNAVAILABLE);
  });
});
