import type { VirtualWorld } from "../virtual-world.js";
import type { Fleet } from "./fleet.js";

/** Does what a planted fault wants done by others than the fleet, from now on until a moment. */
export function sabotage(
  fleet: Fleet,
  world: VirtualWorld,
  say: (line: string) => void,
  until: number,
): void {
  if (fleet.planted.strangerWrites === true) writeAsStranger(fleet, world, until);
  if (fleet.planted.topologyEdit !== undefined) editTopology(fleet, world, say, until);
}

/** Edits the topology once, as soon as there is anything to edit. */
function editTopology(fleet: Fleet, world: VirtualWorld, say: (line: string) => void, until: number): void {
  const { clock, timers, seeded } = world;
  if (clock.monotonic() >= until + 20_000) return;
  fleet.editTopology().then(
    (done) => {
      if (done) say("— the stored topology is edited");
      else timers.after(20 + seeded.below(40), () => editTopology(fleet, world, say, until));
    },
    () => timers.after(20, () => editTopology(fleet, world, say, until)),
  );
}

/** Copies documents from node to node as it finds them, past the writer. */
function writeAsStranger(fleet: Fleet, world: VirtualWorld, until: number): void {
  const { clock, timers, seeded } = world;
  if (clock.monotonic() >= until) return;
  const [from, to] = [seeded.pick([...fleet.nodes.values()]), seeded.pick([...fleet.nodes.values()])];
  const name = [...from.indexes.keys()][0];
  const documents = [...(from.indexes.get(name ?? "")?.documents.values() ?? [])];
  timers.after(seeded.below(400), () => {
    if (!to.up || name === undefined || !to.indexes.has(name)) return;
    const path = `/indexes/${name}/documents?primaryKey=id`;
    const held = new Set(to.indexes.get(name)?.documents.keys());
    const body = JSON.stringify(documents.filter(({ id }) => held.has(String(id))));
    to.execute({ method: "POST", path }, body, to.masterKey);
  });
  timers.after(100 + seeded.below(600), () => writeAsStranger(fleet, world, until));
}
