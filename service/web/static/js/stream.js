// The stream of server-sent events, and whether anybody still speaks. The browser reconnects by itself.
const SILENCE_MS = 3000;

export class Stream {
  /** @param handlers `hello`, `sample`, `recent` and `silent`, each called with data or a truth value. */
  constructor(handlers) {
    this.handlers = handlers;
    this.source = null;
    this.silent = false;
    this.heard = performance.now();
    setInterval(() => this.#listen(), 500);
  }

  open(partition) {
    this.source?.close();
    const query = partition == null ? "" : `?partition=${encodeURIComponent(partition)}`;
    this.source = new EventSource(`/live${query}`);
    for (const name of ["hello", "sample", "recent"]) {
      this.source.addEventListener(name, (event) => {
        this.heard = performance.now();
        this.#tell(false);
        this.handlers[name](JSON.parse(event.data));
      });
    }
    this.source.addEventListener("error", () => {
      if (this.source.readyState === EventSource.CLOSED) setTimeout(() => this.open(partition), 2000);
    });
  }

  #listen() {
    if (performance.now() - this.heard > SILENCE_MS) this.#tell(true);
  }

  #tell(silent) {
    if (silent === this.silent) return;
    this.silent = silent;
    this.handlers.silent(silent);
  }
}
