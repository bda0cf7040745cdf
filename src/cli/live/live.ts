import type { WriteStream } from 'node:tty';
import { asPortalError } from '../../lib/errors.js';
import type { TimedEvent } from '../reporters/reporter.js';
import type { Style } from '../text/style.js';
import { copy, openUrl, qrCode } from './actions.js';
import { maxScroll } from './footer.js';
import { ASK_CURSOR, Keys, type Key } from './keys.js';
import { LiveModel, type Snapshot, type View } from './model.js';
import { Region } from './region.js';
import { help, qrOverlay } from './overlays.js';
import { reflowOf, type Reflow } from './reflow.js';
import { render } from './render.js';
import type { Overlay, Screen } from './screen.js';

export interface LiveOptions {
  readonly snapshot: () => Snapshot;
  readonly stdin: NodeJS.ReadableStream;
  readonly terminal: WriteStream;
  readonly style: Style;
  readonly env: NodeJS.ProcessEnv;
}

/** Counters change constantly. */
const DRAW_EVERY_MS = 1_000;

/** Events arrive in bursts. */
const SOON_MS = 50;

/** Dragging a window's edge changes its size many times. */
const RESIZE_MS = 100;

/** How long the result of a key replaces the list of keys. */
const MESSAGE_MS = 4_000;

/** The live view of `portal up`: drawn at the bottom of the terminal, with log lines scrolling above it. */
export class Live {
  readonly #options: LiveOptions;
  readonly #model = new LiveModel();
  readonly #reflow: Reflow;
  readonly #region: Region;
  readonly #keys: Keys | undefined;
  readonly #timer: NodeJS.Timeout;
  #selected = 0;
  #overlay: Overlay | undefined;
  #overlayKey: string | undefined;
  #scroll = 0;
  #message: string | undefined;
  /** Clears the message, so that the keys show again. */
  #messageTimer: NodeJS.Timeout | undefined;
  #soon: NodeJS.Timeout | undefined;
  #resizeTimer: NodeJS.Timeout | undefined;
  #isClosed = false;
  readonly #onResize = (): void => this.#resized();
  /** Shows the cursor again if the process exits immediately. */
  readonly #onExit = (): void => this.close();
  readonly #onContinue = (): void => this.#resume();

  constructor(options: LiveOptions) {
    const { terminal, stdin, env } = options;
    this.#options = options;
    this.#reflow = reflowOf(env);
    this.#region = new Region(terminal, this.#reflow);
    this.#keys = Keys.open(stdin, (key) => void this.#press(key));
    terminal.on('resize', this.#onResize);
    process.on('SIGCONT', this.#onContinue);
    process.on('exit', this.#onExit);
    this.#timer = setInterval(() => this.#draw(), DRAW_EVERY_MS).unref();
    this.#begin();
  }

  note(event: TimedEvent): void {
    this.#model.note(event);
    this.#drawSoon();
  }

  /** Prints a permanent line above the view. */
  print(text: string): void {
    noticeSize();
    this.#region.print(text);
  }

  /** The last public addresses of every service. */
  get served(): LiveModel['served'] {
    this.#view();
    return this.#model.served;
  }

  /** Removes the view and keeps the printed lines. */
  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
    clearTimeout(this.#messageTimer);
    clearTimeout(this.#resizeTimer);
    clearTimeout(this.#soon);
    this.#options.terminal.off('resize', this.#onResize);
    process.off('SIGCONT', this.#onContinue);
    process.off('exit', this.#onExit);
    this.#keys?.close();
    this.#region.close();
  }

  #view(): View {
    return this.#model.view(this.#options.snapshot(), performance.now());
  }

  #lines(view = this.#view()): string[] {
    this.#selected = Math.max(0, Math.min(this.#selected, view.services.length - 1));
    return render(view, this.#screen());
  }

  #screen(): Screen {
    const { columns, rows } = this.#region;
    return {
      columns,
      rows,
      wraps: this.#reflow.wraps,
      style: this.#options.style,
      selected: this.#selected,
      overlay: this.#overlay,
      scroll: this.#scroll,
      message: this.#message,
      hasKeys: this.#keys !== undefined,
    };
  }

  #draw(): void {
    noticeSize();
    this.#region.draw(this.#lines());
  }

  /** Draws first where the cursor is. */
  #begin(): void {
    if (!this.#reflow.movesEmptyRows) return this.#drawSoon();
    this.#region.hold();
    void this.#repaint();
  }

  #resized(): void {
    this.#region.hold();
    clearTimeout(this.#resizeTimer);
    this.#resizeTimer = setTimeout(() => void this.#repaint(), RESIZE_MS).unref();
  }

  async #repaint(): Promise<void> {
    const { terminal } = this.#options;
    const { columns, rows } = terminal;
    const ask = (): void => void terminal.write(ASK_CURSOR);
    const row = this.#reflow.wraps ? await this.#keys?.cursorRow(ask, this.#reflow.cursorMs) : undefined;
    // If the size changed again meanwhile, the next repaint follows.
    if (this.#isClosed || columns !== terminal.columns || rows !== terminal.rows) return;
    this.#region.repaint(this.#lines(), row);
  }

  #drawSoon(): void {
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined;
      this.#draw();
    }, SOON_MS).unref();
  }

  async #press(key: Key): Promise<void> {
    if (key.isCtrl) return this.#control(key.name);
    if (this.#scrolls(key.name)) return this.#draw();
    // The key that opened the help or the QR code also closes it. Other keys keep their function.
    const isClosing = this.#overlayKey === key.name;
    this.#overlay = undefined;
    this.#overlayKey = undefined;
    this.#scroll = 0;
    this.#message = undefined;
    try {
      if (!isClosing) await this.#act(key.name);
    } catch (error) {
      this.#message = asPortalError(error).message;
    }
    if (this.#overlay !== undefined) this.#overlayKey = key.name;
    clearTimeout(this.#messageTimer);
    if (this.#message === undefined) this.#draw();
    else this.#say(this.#message);
  }

  /** Scrolls the help where it is longer than the screen. */
  #scrolls(name: string): boolean {
    const most = this.#overlay === undefined ? 0 : maxScroll(this.#view(), this.#screen());
    if (most === 0 || !(isUp(name) || isDown(name))) return false;
    this.#scroll = Math.max(0, Math.min(most, this.#scroll + (isUp(name) ? -1 : 1)));
    return true;
  }

  /** Handles these keys like a terminal outside of raw mode. */
  #control(name: string): void {
    if (name === 'c') process.kill(process.pid, 'SIGINT');
    if (name === '\\') process.kill(process.pid, 'SIGQUIT');
    if (name !== 'z') return;
    this.#keys?.release();
    this.#region.close();
    process.kill(process.pid, 'SIGTSTP');
  }

  #resume(): void {
    this.#keys?.take();
    this.#region.open();
    this.#begin();
  }

  async #act(name: string): Promise<void> {
    const view = this.#view();
    const selected = view.services[this.#selected];
    const address = selected?.addresses[0];
    if (isUp(name)) this.#selected--;
    else if (isDown(name)) this.#selected++;
    else if (name === '?') this.#overlay = help;
    else if (name === 'i') await this.#open(view.inspector, 'no service has `inspect: true`');
    else if (name === 'o')
      await this.#open(
        address,
        address === undefined
          ? `${selected?.service ?? 'the service'} has no address yet`
          : `${selected!.service} has no URL for a browser: ${address} is not HTTP`,
      );
    else if (address === undefined) return;
    else if (name === 'c') await this.#copy(address);
    else if (name === 'q') this.#overlay = qrOverlay(await qrCode(address), address);
  }

  async #open(url: string | undefined, otherwise: string): Promise<void> {
    if (url?.startsWith('http') !== true) return void (this.#message = otherwise);
    this.#message = `opening ${url}`;
    await openUrl(url, () => this.#say(`could not start a browser; open it yourself: ${url}`));
  }

  /** Shows the result of a key until the next key, or for a few seconds. */
  #say(message: string): void {
    this.#message = message;
    clearTimeout(this.#messageTimer);
    this.#messageTimer = setTimeout(() => {
      this.#message = undefined;
      this.#draw();
    }, MESSAGE_MS).unref();
    this.#draw();
  }

  async #copy(address: string): Promise<void> {
    const { terminal, env } = this.#options;
    const how = await copy(address, terminal, env);
    if (how === 'tmux') this.#message = `copied ${address}; tmux pastes it with prefix ]`;
    if (how === 'terminal') this.#message = `copied ${address}`;
    if (how !== 'asked') return;
    this.print(address);
    this.#message = `copied ${address}, if your terminal supports OSC 52; it is also printed above`;
  }
}

const isUp = (name: string): boolean => name === 'up' || name === 'k';
const isDown = (name: string): boolean => name === 'down' || name === 'j';

/**
 * Makes Node read the size of its terminals now. On a busy machine the signal comes late, and what is drawn for the former size
 * leaves a copy of the view.
 */
const noticeSize = (): void => void process.emit('SIGWINCH', 'SIGWINCH');
