/**
 * An immutable map from names to records whose next version costs what differs: entries lie in shards by hash, a
 * change copies the shards that it is in, and all others are the same objects in both versions. So a change
 * of one record among 10,000 copies some 40 entries, and whoever derives something from a shard can keep
 * it for as long as the shard is the same object (compile.ts).
 *
 * Same idea as native/net/sharded_map. Iterates shard by shard: sort where order matters.
 */

const SHARDS = 256;

type Shard<T> = ReadonlyMap<string, T>;

export class ShardedMap<T> implements ReadonlyMap<string, T> {
  /** Always the same number of them; a name is always in the same one. */
  readonly shards: readonly Shard<T>[];
  readonly size: number;

  private constructor(shards: readonly Shard<T>[], size: number) {
    this.shards = shards;
    this.size = size;
  }

  static of<T>(entries: Iterable<readonly [string, T]>): ShardedMap<T> {
    const empty: Shard<T> = new Map();
    return new ShardedMap(new Array<Shard<T>>(SHARDS).fill(empty), 0).with(entries);
  }

  /** The map with these entries put or, by null, taken out. */
  with(changes: Iterable<readonly [string, T | null]>): ShardedMap<T> {
    const shards = [...this.shards];
    const copies = new Map<number, Map<string, T>>();
    let { size } = this;
    for (const [name, value] of changes) {
      const index = shardOf(name);
      let copy = copies.get(index);
      if (copy === undefined) {
        copy = new Map(shards[index]);
        copies.set(index, copy);
        shards[index] = copy;
      }
      size -= copy.size;
      if (value === null) copy.delete(name);
      else copy.set(name, value);
      size += copy.size;
    }
    return copies.size === 0 ? this : new ShardedMap(shards, size);
  }

  get(name: string): T | undefined {
    return this.shards[shardOf(name)]?.get(name);
  }

  has(name: string): boolean {
    return this.shards[shardOf(name)]?.has(name) ?? false;
  }

  forEach(visit: (value: T, name: string, map: ReadonlyMap<string, T>) => void): void {
    for (const [name, value] of this) visit(value, name, this);
  }

  *entries(): MapIterator<[string, T]> {
    for (const shard of this.shards) yield* shard.entries();
  }

  *keys(): MapIterator<string> {
    for (const shard of this.shards) yield* shard.keys();
  }

  *values(): MapIterator<T> {
    for (const shard of this.shards) yield* shard.values();
  }

  [Symbol.iterator](): MapIterator<[string, T]> {
    return this.entries();
  }
}

/** FNV-1a, the low byte. */
function shardOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < name.length; at += 1) {
    hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193);
  }
  return (hash ^ (hash >>> 16)) & (SHARDS - 1);
}
