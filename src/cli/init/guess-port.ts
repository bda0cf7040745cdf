import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface Guess {
  readonly port: number;
  /** The reason for the guess, for the user to judge. */
  readonly because: string;
}

/** Development servers and their default ports. More specific ones come first. */
const FRAMEWORKS: readonly (readonly [dependency: string, port: number])[] = [
  ['next', 3000],
  ['nuxt', 3000],
  ['astro', 4321],
  ['gatsby', 8000],
  ['@angular/cli', 4200],
  ['@storybook/core', 6006],
  ['react-scripts', 3000],
  ['@vue/cli-service', 8080],
  ['@11ty/eleventy', 8080],
  ['webpack-dev-server', 8080],
  ['parcel', 1234],
  ['vite', 5173],
];

/** Files that identify a server written in another language. */
const MARKERS: readonly (readonly [file: string, port: number])[] = [
  ['manage.py', 8000],
  ['config.ru', 9292],
  ['mix.exs', 4000],
  ['hugo.toml', 1313],
];

const SCRIPTS = ['dev', 'start', 'serve', 'preview'];
const PORT_IN_SCRIPT = /(?:--port[= ]|-p[= ]?|\bPORT=)(\d{2,5})\b/;

export async function guessPort(folder: string): Promise<Guess> {
  return (await fromPackage(folder)) ?? (await fromMarkers(folder)) ?? { port: 3000, because: 'a default' };
}

interface PackageFile {
  readonly scripts?: Readonly<Record<string, unknown>>;
  readonly dependencies?: object;
  readonly devDependencies?: object;
}

async function fromPackage(folder: string): Promise<Guess | undefined> {
  const content = await readPackage(folder);
  if (!content) return undefined;
  for (const name of SCRIPTS) {
    const port = Number(PORT_IN_SCRIPT.exec(textOf(content.scripts?.[name]))?.[1]);
    if (port > 0 && port < 65_536) return { port, because: `the script "${name}" of package.json` };
  }
  const dependencies = { ...content.dependencies, ...content.devDependencies };
  const framework = FRAMEWORKS.find(([dependency]) => dependency in dependencies);
  return framework && { port: framework[1], because: `the usual port of ${framework[0]}` };
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

async function readPackage(folder: string): Promise<PackageFile | undefined> {
  try {
    const content: unknown = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
    return typeof content === 'object' && content !== null ? content : undefined;
  } catch {
    return undefined;
  }
}

async function fromMarkers(folder: string): Promise<Guess | undefined> {
  for (const [file, port] of MARKERS) {
    const found = await access(join(folder, file)).then(
      () => true,
      () => false,
    );
    if (found) return { port, because: `the usual port for ${file}` };
  }
  return undefined;
}
