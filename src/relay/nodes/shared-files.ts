import type { CertificateFiles } from '../../certificates/acme/files.js';
import { nodeLeft } from './nodes.js';

/** The files of the node that this process is now. Throws `relay_busy` at other times. */
export class SharedFiles implements CertificateFiles {
  #files: CertificateFiles | undefined;

  /** Call when this process joined its relay, again after it left. */
  use(files: CertificateFiles): void {
    this.#files = files;
  }

  read(name: string): Promise<string | undefined> {
    return this.#current().read(name);
  }

  create(name: string, text: string): Promise<boolean> {
    return this.#current().create(name, text);
  }

  replace(name: string, text: string): Promise<void> {
    return this.#current().replace(name, text);
  }

  remove(name: string): Promise<void> {
    return this.#current().remove(name);
  }

  exclusively<T>(name: string, run: () => Promise<T>, signal: AbortSignal): Promise<T> {
    return this.#current().exclusively(name, run, signal);
  }

  #current(): CertificateFiles {
    if (!this.#files) throw nodeLeft('this');
    return this.#files;
  }
}
