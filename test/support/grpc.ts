import { fileURLToPath } from 'node:url';
import {
  credentials,
  loadPackageDefinition,
  Metadata,
  Server,
  ServerCredentials,
  status,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientWritableStream,
  type ServerDuplexStream,
  type ServerWritableStream,
  type ServiceClientConstructor,
  type ServiceError,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { onTestFinished } from 'vitest';
import type { LocalCa } from '../../src/certificates/local-ca.js';

/** A real gRPC server and client, both from grpc-js, with every kind of call. */

interface Words {
  text: string;
}

const PROTO = fileURLToPath(new URL('../fixtures/echo.proto', import.meta.url));

function echo(): ServiceClientConstructor {
  const loaded = loadPackageDefinition(loadSync(PROTO)) as unknown as {
    portal: { test: { Echo: ServiceClientConstructor } };
  };
  return loaded.portal.test.Echo;
}

const IMPLEMENTATION: UntypedServiceImplementation = {
  Unary: (
    call: { request: Words },
    done: (error: Partial<ServiceError> | null, answer?: Words, trailer?: Metadata) => void,
  ) => {
    const trailer = new Metadata();
    trailer.set('x-trailer', 'seen');
    if (call.request.text === 'fail')
      done({ code: status.FAILED_PRECONDITION, details: 'as asked', metadata: trailer });
    else done(null, { text: `you said ${call.request.text}` }, trailer);
  },
  Gather: (call: AsyncIterable<Words>, done: (error: null, answer: Words) => void) => {
    void (async () => {
      let text = '';
      for await (const words of call) text += words.text;
      done(null, { text });
    })();
  },
  Scatter: (call: ServerWritableStream<Words, Words>) => {
    for (const text of call.request.text) call.write({ text });
    call.end();
  },
  Chat: (call: ServerDuplexStream<Words, Words>) => {
    call.on('data', ({ text }: Words) => call.write({ text: text.toUpperCase() }));
    call.on('end', () => call.end());
  },
};

export interface GrpcService {
  readonly port: number;
  close(): void;
}

/** A gRPC server without TLS. It speaks only HTTP/2. */
export async function grpcService(port = 0): Promise<GrpcService> {
  const server = new Server();
  server.addService(echo().service, IMPLEMENTATION);
  const bound = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, at) =>
      error ? reject(error) : resolve(at),
    ),
  );
  const close = (): void => server.forceShutdown();
  onTestFinished(close);
  return { port: bound, close };
}

export interface GrpcClient {
  unary(text: string): Promise<{ text: string; trailer: string }>;
  gather(texts: readonly string[]): Promise<string>;
  scatter(text: string): Promise<string[]>;
  /** Sends each text after the reply to the previous one. */
  chat(texts: readonly string[]): Promise<string[]>;
}

const deadline = () => ({ deadline: Date.now() + 10_000 });

/** A client of `hostname` on a relay, over TLS. */
export function grpcClient(at: { port: number }, hostname: string, ca: LocalCa): GrpcClient {
  const client = new (echo())(`127.0.0.1:${at.port}`, credentials.createSsl(Buffer.from(ca.certificatePem)), {
    'grpc.ssl_target_name_override': hostname,
    'grpc.default_authority': hostname,
  });
  onTestFinished(() => client.close());
  const method = (name: string) =>
    (client as unknown as Record<string, (...input: unknown[]) => unknown>)[name]!.bind(client);
  return {
    unary: (text) =>
      new Promise((resolve, reject) => {
        let answer: Words;
        const call = method('Unary')(
          { text },
          new Metadata(),
          deadline(),
          (error: Error | null, words: Words) => {
            if (error) reject(error);
            else answer = words;
          },
        ) as { on(event: 'status', seen: (status: { metadata: Metadata }) => void): void };
        call.on('status', ({ metadata }) => {
          const [trailer] = metadata.get('x-trailer');
          if (answer) resolve({ text: answer.text, trailer: String(trailer) });
        });
      }),
    gather: (texts) =>
      new Promise((resolve, reject) => {
        const call = method('Gather')(new Metadata(), deadline(), (error: Error | null, words: Words) =>
          error ? reject(error) : resolve(words.text),
        ) as ClientWritableStream<Words>;
        for (const text of texts) call.write({ text });
        call.end();
      }),
    scatter: async (text) => {
      const call = method('Scatter')({ text }, new Metadata(), deadline()) as ClientReadableStream<Words>;
      const received: string[] = [];
      for await (const words of call) received.push((words as Words).text);
      return received;
    },
    chat: async (texts) => {
      const call = method('Chat')(new Metadata(), deadline()) as ClientDuplexStream<Words, Words>;
      const received: string[] = [];
      let next = 0;
      const say = (): void => {
        const text = texts[next++];
        if (text === undefined) call.end();
        else call.write({ text });
      };
      say();
      for await (const words of call) {
        received.push((words as Words).text);
        say();
      }
      return received;
    },
  };
}
