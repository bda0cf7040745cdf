import { createHash } from 'node:crypto';

/**
 * The style of the pages that Portal itself sends: nothing to load, small, light and dark. Pages that reload have a
 * script.
 */

interface PageText {
  /** Above the title: the status and its name. */
  readonly label: string;
  readonly title: string;
  /** What happened, and what the visitor can do. Words in backticks are code. */
  readonly text: string;
  /** What the owner of the service can do. Words in backticks are code. */
  readonly owner?: string;
  /** A browser reloads the page after this many seconds, then less often. */
  readonly retryAfterS?: number;
  /** HTML between the text and the owner's part; the caller escapes it. */
  readonly form?: string;
}

const POLICY = 'Content-Security-Policy';

/** The header field with the policy of a page without a form. A page that reloads has a script. */
export const contentPolicy = ({ reloads = false } = {}): readonly string[] => [
  POLICY,
  policy("'none'", reloads),
];

const policy = (formAction: "'self'" | "'none'", reloads = false): string =>
  `default-src 'none'; style-src 'unsafe-inline'; ${reloads ? `script-src '${RELOAD_HASH}'; ` : ''}form-action ${formAction}; base-uri 'none'`;

/** The same for a page with a form. Other pages may not frame it (clickjacking). */
export const FORM_POLICY: readonly string[] = [POLICY, `${policy("'self'")}; frame-ancestors 'none'`];

/**
 * Reloads the page while it is visible, after 3, 5, 10, then 30 seconds. The tab's storage keeps the count for a
 * minute. `replace` makes the page its own referrer, by which the inspector detects a reload.
 */
const RELOAD = `(()=>{
const key='portal-reloads',first=+document.documentElement.dataset.wait
let count=0
try{const[n,at]=(sessionStorage.getItem(key)||'0 0').split(' ');if(Date.now()-at<60000)count=+n}catch{count=9}
const pause=[first,3,5,10,30].filter((s,i)=>i==0||s>first)
const due=Date.now()+1000*(pause[count]||30)
let timer
const go=()=>{
try{sessionStorage.setItem(key,count+1+' '+Date.now())}catch{}
location.hash?location.reload():location.replace(location.href)
}
const plan=()=>{
clearTimeout(timer)
if(!document.hidden)timer=setTimeout(go,Math.max(0,due-Date.now()))
}
document.addEventListener('visibilitychange',plan)
plan()
})()`;
const RELOAD_HASH = `sha256-${createHash('sha256').update(RELOAD).digest('base64')}`;
/** Without scripts, a browser reloads at the longest pause. */
const RELOADING = `<noscript><meta http-equiv="refresh" content="30"></noscript><script>${RELOAD}</script>`;

const STYLE = `
:root{color-scheme:light dark;--b:#f4f5f7;--c:#fff;--l:#d5d9e0;--t:#1b1f27;--q:#59616e;--a:#1d4ed8;--w:#b3202c}
@media(prefers-color-scheme:dark){:root{--b:#14161a;--c:#1d2027;--l:#343944;--t:#e6e9ef;--q:#a3abb9;--a:#8ab4ff;--w:#ff8f94}}
*{box-sizing:border-box}
body{margin:0;padding:14vh 1rem 2rem;background:var(--b);color:var(--t);font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
main{max-width:34rem;margin:auto;padding:1.5rem 1.75rem;background:var(--c);border:1px solid var(--l);border-radius:.6rem}
h1{font-size:1.35rem;line-height:1.3;margin:0 0 .6rem}
p{margin:0 0 .6rem}
.s,.o{color:var(--q);font-size:.875rem}
.s{margin:0 0 .4rem}
.o{margin:1.2rem 0 0;padding-top:.9rem;border-top:1px solid var(--l)}
.o b{color:var(--t)}
code{font:.9em ui-monospace,monospace}
`;

const FORM_STYLE = `
label{display:block;margin:1rem 0 .25rem;font-weight:600}
input,button{font:inherit;width:100%;min-height:2.75rem;padding:.5rem .75rem;border-radius:.4rem;border:1px solid var(--q);background:var(--c);color:var(--t)}
a{color:var(--a)}
button{margin-top:.75rem;border:0;background:var(--a);color:var(--c);font-weight:600;cursor:pointer}
:focus-visible{outline:3px solid var(--a);outline-offset:2px}
#alert{padding:.5rem .75rem;border-left:4px solid var(--w);background:var(--b)}
`;

export function htmlPage({ label, title, text, owner, form, retryAfterS }: PageText): string {
  const forOwner =
    owner === undefined ? '' : `\n<p class="o"><b>Is this your service?</b> ${withCode(owner)}</p>`;
  return `<!doctype html>
<html lang="en"${retryAfterS === undefined ? '' : ` data-wait="${retryAfterS}"`}><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${STYLE}${form === undefined ? '' : FORM_STYLE}</style>${retryAfterS === undefined ? '' : `\n${RELOADING}`}
<main>
<p class="s">${escapeHtml(label)}</p>
<h1>${escapeHtml(title)}</h1>
<p>${withCode(text)}</p>${form ?? ''}${forOwner}
</main>
</html>
`;
}

export function escapeHtml(text: string): string {
  return text.replace(/[<>&"]/g, (c) => `&#${c.charCodeAt(0)};`);
}

const withCode = (text: string): string => escapeHtml(text).replace(/`([^`]*)`/g, '<code>$1</code>');
