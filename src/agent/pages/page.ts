import { contentPolicy, escapeHtml, FORM_POLICY, htmlPage } from './page-style.js';

/**
 * A page that Portal itself sends to a visitor, for people and for programs: what happened, what to do, and what the
 * owner can do.
 */

export interface Page {
  readonly status: number;
  readonly reason: string;
  /** Short and stable: programs get it in JSON, and the inspector marks the request with it. */
  readonly code: string;
  readonly title: string;
  /** Header fields of every format. */
  readonly headers: readonly string[];
  /** The page for browsers, and header fields that only this page needs. */
  readonly html: string;
  readonly htmlHeaders: readonly string[];
  /** The same in sentences, for programs. */
  readonly text: string;
}

interface Words {
  /** Above the title. Default: the status. */
  readonly label?: string;
  readonly title: string;
  readonly text: string;
  readonly owner?: string;
  /** A browser retries after this many seconds, then less often. Programs get the time in Retry-After. */
  readonly retryAfterS?: number;
  /** What a visitor with a browser can do: a path on this host. */
  readonly link?: { readonly href: string; readonly text: string };
}

/** Header fields of each of Portal's own pages. */
export const OWN_HEADERS = [
  'Cache-Control',
  'no-store',
  'X-Robots-Tag',
  'noindex',
  'X-Content-Type-Options',
  'nosniff',
] as const;

export function page(status: number, reason: string, code: string, words: Words): Page {
  const { label = `${status} ${reason}`, title, text, owner, retryAfterS, link } = words;
  const seconds = retryAfterS === 1 ? 'second' : `${retryAfterS} seconds`;
  const reloads =
    retryAfterS === undefined
      ? ''
      : ` This page reloads in ${seconds}, then less often, while it is visible.`;
  const again = retryAfterS === undefined ? '' : ` Try again in ${retryAfterS === 1 ? 'a second' : seconds}.`;
  const forOwner = owner === undefined ? '' : `\nIs this your service? ${owner}`;
  return {
    status,
    reason,
    code,
    title,
    headers: [...OWN_HEADERS, ...(retryAfterS === undefined ? [] : ['Retry-After', String(retryAfterS)])],
    html: htmlPage({
      label,
      title,
      text: text + reloads,
      ...(owner && { owner }),
      ...(retryAfterS !== undefined && { retryAfterS }),
      ...(link && { form: `\n<p><a href="${escapeHtml(link.href)}">${escapeHtml(link.text)}</a></p>` }),
    }),
    htmlHeaders: contentPolicy({ reloads: retryAfterS !== undefined }),
    text: `${title}. ${text}${again}${forOwner}`,
  };
}

/** A page in the format that the visitor's Accept header asks for: HTML, JSON, or else plain text. */
export function formatted(of: Page, accept: string): { headers: readonly string[]; body: string } {
  if (/\b(text\/html|application\/xhtml\+xml)\b/i.test(accept))
    return {
      headers: ['Content-Type', 'text/html; charset=utf-8', ...of.headers, ...of.htmlHeaders],
      body: of.html,
    };
  if (/\bapplication\/([\w.-]+\+)?json\b/i.test(accept)) {
    const { status, code, text } = of;
    return {
      headers: ['Content-Type', 'application/json', ...of.headers],
      body: `${JSON.stringify({ status, [status < 400 ? 'code' : 'error']: code, message: text.replaceAll('\n', ' ') })}\n`,
    };
  }
  return { headers: ['Content-Type', 'text/plain; charset=utf-8', ...of.headers], body: `${of.text}\n` };
}

/** The name of a service between quotation marks (RFC 9110, section 11.5). */
export const realmOf = (service: string): string => service.replace(/[^\w .-]/g, '');

/** `of` for a request that another site may have caused: no page of that site can show it in a frame. */
export const unframed = (of: Page): Page => ({ ...of, htmlHeaders: FORM_POLICY });

const HTML = 'text/html';

/** A page as the bytes of an HTTP/1.1 response, the last on its connection. */
export function rawPage(of: Page, { accept = HTML, headOnly = false } = {}): string {
  const { headers, body } = formatted(of, accept);
  let head = `HTTP/1.1 ${of.status} ${of.reason}\r\n`;
  for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`;
  return `${head}Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${headOnly ? '' : body}`;
}
