/** What to do about one service on one relay. */
export interface Action {
  readonly kind: 'open' | 'update' | 'replace' | 'close' | 'keep';
  readonly service: string;
  readonly relay: string;
  /** For update and replace: what differs, as paths below the service (`target`, `name`). */
  readonly changes: readonly string[];
  /** True when it opens something to more people than before (a gate removed or widened, a service opened). */
  readonly exposes: boolean;
}
