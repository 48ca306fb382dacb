import { useLayoutEffect, useState } from "./vendor/library.js";

/**
 * A value, and who wants to know when it changes.
 * @template T
 */
export class Store {
  /** @param {T} value */
  constructor(value) {
    this.value = value;
    /** @type {Set<() => void>} */
    this.listeners = new Set();
  }

  /** @param {T} value */
  set(value) {
    if (value === this.value) return;
    this.value = value;
    for (const listener of this.listeners) listener();
  }

  /** @param {Partial<T>} changes */
  change(changes) {
    this.set({ ...this.value, ...changes });
  }

  /** @param {() => void} listener */
  subscribe(listener) {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }
}

/**
 * The value of a store; the component is drawn again when it changes.
 * @template T
 * @param {Store<T>} store
 * @returns {T}
 */
export function useStore(store) {
  const [drawn, draw] = useState(store.value);
  useLayoutEffect(() => {
    const update = () => draw(() => store.value);
    update();
    return store.subscribe(update);
  }, [store]);
  return drawn === store.value ? drawn : store.value;
}
