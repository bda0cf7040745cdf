/**
 * Servers that accept only names they know, as a defence against DNS rebinding: how they reject others, and how to
 * allow a name. docs/guides/frameworks.md has the same as a table.
 */

export interface NameRejection {
  /** One of `FRAMEWORKS`. `unknown`: it rejects the public name and accepts its own. */
  readonly id: string;
  readonly name: string;
  /** The framework, and the name that it rejects. */
  readonly message: string;
  /** The remedy. */
  readonly hint: string;
}

/** The parts of a target's response that identify a rejection. */
export interface TargetResponse {
  /** 0: not HTTP. */
  readonly status: number;
  readonly method: string;
  readonly target: string;
  /** The start of its body. */
  readonly text: string;
  /** A page of another origin sent the request, which is a reason to reject it. */
  readonly isCrossOrigin?: boolean;
}

interface Framework {
  readonly id: string;
  /** Display name. */
  readonly title: string;
  readonly rejects: (response: TargetResponse) => boolean;
  /** An imperative without a full stop. */
  readonly allow: (name: string) => string;
}

/** Only this much of a body is checked. */
export const MAX_CHECKED_BYTES = 16 * 1024;
/** Old versions of webpack-dev-server send it with 200. */
const INVALID_HOST = 'Invalid Host header';

const FRAMEWORKS: readonly Framework[] = [
  {
    id: 'vite-preview',
    title: 'Vite',
    rejects: ({ status, text }) => status === 403 && /^Blocked request\..*preview\.allowedHosts/s.test(text),
    allow: (name) => `add "${name}" to preview.allowedHosts in vite.config.js`,
  },
  {
    id: 'vite',
    title: 'Vite',
    rejects: ({ status, text }) => status === 403 && text.startsWith('Blocked request. This host'),
    allow: (name) => `add "${name}" to server.allowedHosts in vite.config.js`,
  },
  {
    id: 'webpack',
    title: 'webpack-dev-server',
    rejects: ({ status, text }) => (status === 403 || status === 200) && text === INVALID_HOST,
    allow: (name) => `add "${name}" to devServer.allowedHosts in webpack.config.js`,
  },
  {
    id: 'mcp',
    title: 'the MCP server',
    rejects: ({ status, text }) =>
      (status === 421 && text.startsWith('Invalid Host')) ||
      (status === 403 && (/"Invalid (Host|Origin)\b/.test(text) || text === 'Invalid Origin header')),
    allow: (name) =>
      `add "${name}" to the allowed hosts, and https://${name} to the allowed origins, of its transport`,
  },
  {
    id: 'django',
    title: 'Django',
    rejects: ({ status, text }) => status === 400 && /<title>\s*DisallowedHost\b/.test(text),
    allow: (name) => `add "${name}" to ALLOWED_HOSTS in settings.py`,
  },
  {
    id: 'django-csrf',
    title: 'Django',
    rejects: ({ status, text, isCrossOrigin }) =>
      status === 403 && !isCrossOrigin && /Origin checking failed/.test(text),
    allow: (name) => `add "https://${name}" to CSRF_TRUSTED_ORIGINS in settings.py`,
  },
  {
    id: 'rails',
    title: 'Rails',
    rejects: ({ status, text }) => status === 403 && /Blocked hosts?: /.test(text),
    allow: (name) => `add config.hosts << "${name}" to config/environments/development.rb`,
  },
  {
    id: 'sveltekit',
    title: 'SvelteKit',
    rejects: ({ status, text, isCrossOrigin }) =>
      status === 403 &&
      !isCrossOrigin &&
      /^(\{"message":")?Cross-site \w+ form submissions are forbidden/.test(text),
    allow: (name) => `start it with ORIGIN=https://${name} (adapter-node)`,
  },
  {
    id: 'spring',
    title: 'Spring',
    // The app believes that requests come over http, so its own pages look like another origin.
    rejects: ({ status, text, isCrossOrigin }) =>
      status === 403 && !isCrossOrigin && text === 'Invalid CORS request',
    allow: () => 'set server.forward-headers-strategy=framework in application.properties',
  },
  {
    id: 'next',
    title: 'Next.js',
    // For a WebSocket, the app sends this without a status.
    rejects: ({ status, target, text }) =>
      (status === 403 || status === 0) && text === 'Unauthorized' && /^\/(_next|__nextjs)/.test(target),
    allow: (name) => `add "${name}" to allowedDevOrigins in next.config.js`,
  },
  {
    id: 'jupyter',
    title: 'Jupyter',
    rejects: ({ status, method, text }) =>
      status === 403 && method === 'GET' && /<title>\s*Jupyter\b/.test(text),
    allow: () => 'start it with --ServerApp.allow_remote_access=true',
  },
];

/** Whether the first chunk of a response body is worth checking. Cheap, because it runs for every response. */
export function mayReject(status: number, bytes: number): boolean {
  return status === 200 ? bytes === INVALID_HOST.length : status === 403 || status === 400 || status === 421;
}

/** The rejection of the name `authority`, if the response is one. */
export function rejectionOf(response: TargetResponse, authority: string): NameRejection | undefined {
  const framework = FRAMEWORKS.find(({ rejects }) => rejects(response));
  if (!framework) return undefined;
  const name = hostOf(authority);
  return {
    id: framework.id,
    name,
    message: `${framework.title} rejects the name ${name}`,
    hint: `${capital(framework.allow(name))}, or set \`host: target\`.`,
  };
}

/** The same for an unknown framework that accepts its own name and rejects this one. */
export function rejectionUnknown(status: number, authority: string): NameRejection {
  const name = hostOf(authority);
  return {
    id: 'unknown',
    name,
    message: `the target responds with ${status} to the name ${name}, but not to its own name`,
    hint: 'Allow that name in its settings, or set `host: target`.',
  };
}

const hostOf = (authority: string): string => authority.replace(/:\d+$/, '');
const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
