import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { ConfigMap, Container, PodSpec, Service } from 'kubernetes-types/core/v1.js';
import type { PodDisruptionBudget } from 'kubernetes-types/policy/v1.js';
import type { StatefulSet } from 'kubernetes-types/apps/v1.js';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { silent } from '../src/lib/logger.js';
import { clusterPlace } from '../src/cli/relay/cluster.js';
import { knownVariables, parsed } from './support/cli-options.js';
import { commandOf, readCompose } from './support/compose.js';
import { programFor } from './support/debian.js';
import { parseDockerfile } from './support/dockerfile.js';
import { temporaryFolder } from './support/folder.js';
import { hostsFile } from './support/hosts.js';

/** The settings in deploy/ for relays of several nodes exist in this package, and fit together. */

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const run = promisify(execFile);
const BOUND = { timeout: 100_000 };

const haproxy = read('deploy/haproxy.cfg');
const relayImage = parseDockerfile(read('deploy/Dockerfile')).find(({ name }) => name === 'relay')!;
const entryPoint = JSON.parse(
  relayImage.instructions.find(({ name }) => name === 'ENTRYPOINT')!.text,
) as string[];
/** The words after `portal` of the image's entry point, and `args`. */
const started = (args: readonly string[]): string[] => [...entryPoint.slice(2), ...args];

describe('compose.cluster.yaml', () => {
  const file = join(root, 'deploy/compose.cluster.yaml');
  const variables = {
    RELAY_DOMAIN: 'relay.example.com',
    RELAY_CERTIFICATES: '/certificates',
    DATABASE_PASSWORD: 'secret',
  };
  const { services, volumes } = readCompose(file, variables);
  const nodes = Object.keys(services).filter((name) => services[name]!.build);
  const addressOf = (name: string): string => services[name]!.networks!['relay']!.ipv4_address;

  it('requires every variable that it uses', () => {
    for (const name of Object.keys(variables))
      expect(() => readCompose(file, { ...variables, [name]: undefined as never })).toThrow(name);
  });

  it('starts three nodes with options that they accept, and lets them drain', async () => {
    expect(nodes).toEqual(['node1', 'node2', 'node3']);
    for (const name of nodes) {
      const { environment, stop_grace_period: grace, build, volumes: mounts } = services[name]!;
      const options = await parsed(started(commandOf(services[name]!)));
      expect(options).toMatchObject({
        domain: 'relay.example.com',
        nodeAddress: `${name}:7443`,
        acceptProxyProtocol: [addressOf('haproxy')],
      });
      expect(Number.parseInt(grace!, 10) * 1_000).toBeGreaterThan(options['drain'] as number);
      const place = await clusterPlace({ env: environment!, cwd: root }, options, silent);
      const url = new URL(place!.url);
      expect(services).toHaveProperty(url.hostname);
      expect(url.password).toBe(services['database']!.environment!['POSTGRES_PASSWORD']);
      expect(Object.keys(environment!).filter((variable) => !knownVariables.has(variable))).toEqual([]);
      expect(existsSync(join(dirname(file), build!.context, build!.dockerfile))).toBe(true);
      for (const mount of mounts!.filter((one) => !one.startsWith('/')))
        expect(Object.keys(volumes)).toContain(mount.split(':')[0]);
      const [folder] = mounts!.map((mount) => mount.split(':')).filter(([from]) => from === '/certificates');
      for (const option of ['cert', 'key']) expect(dirname(String(options[option]))).toBe(folder![1]);
    }
  });

  it('differs between nodes in their address only', () => {
    const [one, ...others] = nodes.map((name) =>
      JSON.stringify(services[name]).replaceAll(name, 'node').replace(addressOf(name), 'address'),
    );
    for (const other of others) expect(other).toBe(one);
    expect(new Set(Object.keys(services).map(addressOf)).size).toBe(Object.keys(services).length);
  });

  it('has a configuration of HAProxy for these nodes and their ports', async () => {
    const servers = [...haproxy.matchAll(/^ {2}server (\w+) (\w+):(\d+)/gm)].map((match) => match.slice(1));
    const { httpRedirect, metrics, listen } = await parsed(started(commandOf(services['node1']!)));
    const publicPort = String((listen as string[])[0])
      .split(':')
      .at(-1);
    expect(servers).toEqual([
      ...nodes.map((name) => [name, name, publicPort]),
      ...nodes.map((name) => [name, name, String(httpRedirect)]),
    ]);
    expect(haproxy).toContain(`check port ${String(metrics).split(':').at(-1)} `);
    const ports = [...haproxy.matchAll(/^ {2}bind :(\d+)$/gm)].map(([, port]) => `${port}:${port}/tcp`);
    expect(services['haproxy']!.ports).toEqual(ports);
  });

  it('is valid for HAProxy, without a warning', async (context) => {
    const program = await programFor(context, 'haproxy');
    const made = await hostsFile(
      `127.0.0.1 localhost\n${nodes.map((name) => `127.0.0.1 ${name}\n`).join('')}`,
    );
    const [command, ...rest] = 'skip' in made ? context.skip(made.skip) : made.within;
    const config = join(root, 'deploy/haproxy.cfg');
    await expect(run(command!, [...rest, program, '-c', '-dW', '-f', config], BOUND)).resolves.toBeDefined();
  });
});

describe('kubernetes.yaml', () => {
  const text = read('deploy/kubernetes.yaml');
  const documents = parseAllDocuments(text).map((document) => document.toJS() as { kind: string });
  const only = (kind: string): unknown => documents.find((document) => document.kind === kind);
  const { spec } = only('StatefulSet') as StatefulSet;
  const pod = spec!.template.spec as PodSpec;
  const [container] = pod.containers as [Container];
  const services = documents.filter(({ kind }) => kind === 'Service') as Service[];

  const TYPES: Readonly<Record<string, string>> = {
    ConfigMap: 'core/v1',
    Service: 'core/v1',
    PodDisruptionBudget: 'policy/v1',
    StatefulSet: 'apps/v1',
  };

  /** What the compiler says of manifests as values of their types: unknown and missing fields, wrong types and values. */
  async function complaints(manifests: readonly { kind: string }[]): Promise<string> {
    const file = join(await temporaryFolder(), 'manifests.ts');
    const types = join(root, 'node_modules/kubernetes-types');
    const lines = manifests.map(
      (manifest, index) =>
        `const m${index} = ${JSON.stringify(manifest)} satisfies import(${JSON.stringify(`${types}/${TYPES[manifest.kind]}.js`)}).${manifest.kind};`,
    );
    await writeFile(file, `${lines.join('\n')}\nexport {};\n`);
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    const options = [
      '--ignoreConfig',
      '--noEmit',
      '--strict',
      '--target',
      'es2022',
      '--module',
      'nodenext',
      '--types',
      '',
    ];
    return run(process.execPath, [tsc, ...options, file], BOUND).then(
      () => '',
      ({ stdout }: { stdout: string }) => stdout,
    );
  }

  it('has valid resources', async () => {
    expect(documents.map(({ kind }) => kind)).toEqual([
      'ConfigMap',
      'Service',
      'Service',
      'PodDisruptionBudget',
      'StatefulSet',
    ]);
    expect(await complaints(documents)).toBe('');
    const broken = structuredClone(only('StatefulSet') as StatefulSet);
    (broken.spec!.template.spec!.containers[0] as unknown as Record<string, unknown>)['readinessprobe'] = {};
    expect(await complaints([broken as { kind: string }])).toContain('readinessprobe');
  });

  it('starts the relay with options that it accepts, and lets it drain', async () => {
    const given: Record<string, string> = {
      RELAY_DOMAIN: (only('ConfigMap') as ConfigMap).data!['domain']!,
      POD_IP: '10.1.2.3',
    };
    const args = container.args!.map((word) =>
      word.replaceAll(/\$\((\w+)\)/g, (_, name: string) => given[name]!),
    );
    const options = await parsed(started(args));
    expect(options).toMatchObject({
      domain: 'relay.example.com',
      nodeAddress: '10.1.2.3:7443',
      metrics: '10.1.2.3:9464',
    });
    const env = { PORTAL_CLUSTER: 'postgres://portal:secret@db/portal' };
    expect(await clusterPlace({ env, cwd: root }, options, silent)).toBeDefined();
    expect(pod.terminationGracePeriodSeconds! * 1_000).toBeGreaterThan(options['drain'] as number);
    const used = new Set(
      container.args!.flatMap((word) => [...word.matchAll(/\$\((\w+)\)/g)].map(([, name]) => name)),
    );
    const set = container.env!.map(({ name }) => name);
    expect(set.filter((name) => !used.has(name) && !knownVariables.has(name))).toEqual([]);
    expect([...used].filter((name) => !set.includes(name!))).toEqual([]);
    const ports = Object.fromEntries(
      container.ports!.map(({ name, containerPort }) => [name, containerPort]),
    );
    expect(ports).toEqual({
      public: Number(
        String((options['listen'] as string[])[0])
          .split(':')
          .at(-1),
      ),
      http: options['httpRedirect'],
      nodes: 7443,
      metrics: 9464,
    });
    const folder = container.volumeMounts!.find(({ name }) => name === 'certificate')!.mountPath;
    expect([options['cert'], options['key']]).toEqual([`${folder}/tls.crt`, `${folder}/tls.key`]);
  });

  it('names ports, labels, volumes and other resources that exist', () => {
    const { labels } = spec!.template.metadata!;
    const selectors = [
      spec!.selector.matchLabels,
      (only('PodDisruptionBudget') as PodDisruptionBudget).spec!.selector!.matchLabels,
      pod.topologySpreadConstraints![0]!.labelSelector!.matchLabels,
      ...services.map((service) => service.spec!.selector),
    ];
    for (const selector of selectors) expect(labels).toEqual(selector);
    expect(services.map((service) => service.metadata!.name)).toContain(spec!.serviceName);
    const ports = container.ports!.map(({ name }) => name);
    const targets = services.flatMap((service) => service.spec!.ports!.map(({ targetPort }) => targetPort));
    const probes = [container.readinessProbe, container.livenessProbe].map((probe) => probe!.httpGet!.port);
    for (const port of [...targets, ...probes]) expect(ports).toContain(port);
    const volumes = pod.volumes!.map(({ name }) => name);
    const mounts = [container, pod.initContainers![0]!].flatMap(({ volumeMounts }) => volumeMounts!);
    expect(new Set(mounts.map(({ name }) => name))).toEqual(new Set(volumes));
    const secrets = [
      ...container.env!.flatMap(({ valueFrom }) => valueFrom?.secretKeyRef?.name ?? []),
      ...pod.volumes!.flatMap(({ secret }) => secret?.secretName ?? []),
    ];
    const created = [...text.matchAll(/kubectl create secret \w+ ([\w-]+)/g)].map(([, name]) => name);
    expect(new Set(secrets)).toEqual(new Set(created));
    const home = relayImage.instructions.find(({ name }) => name === 'VOLUME')!.text;
    expect(mounts.filter(({ name }) => name === 'state').map(({ mountPath }) => mountPath)).toEqual([
      home,
      home,
    ]);
  });
});
