// @ts-check
/** What is the same for everybody who looks: the numbers of now, the charts, and the short lists. */

import { byId, element, Rows, setText } from "./elements.js";
import * as format from "./format.js";
import { LineChart } from "./line-chart.js";

/** @typedef {import("../src/page-wire.ts").Sample} Sample */
/** @typedef {import("../src/page-wire.ts").ServerMessage} ServerMessage */
/** @typedef {import("../src/page-wire.ts").RoomRow} RoomRow */
/** @typedef {import("../src/page-wire.ts").ChannelRow} ChannelRow */
/** @typedef {Extract<ServerMessage, { type: "snapshot" }>} Snapshot */
/** @typedef {Extract<ServerMessage, { type: "welcome" }>} Welcome */

/**
 * The numbers of now: what each is called, what it is, and what else is to say.
 * @type {readonly { name: string, value: (snapshot: Snapshot) => string, note: (snapshot: Snapshot) => string }[]}
 */
const tiles = [
  {
    name: "Open connections",
    value: ({ sample }) => format.count(sample.connections),
    note: ({ totals }) => `${format.count(totals.totalConnections)} ever`,
  },
  {
    name: "Received",
    value: ({ sample }) => format.rate(sample.receivedPerSecond),
    note: ({ totals }) => format.bytes(totals.bytesReceived),
  },
  {
    name: "Sent",
    value: ({ sample }) => format.rate(sample.sentPerSecond),
    note: ({ totals }) => format.bytes(totals.bytesSent),
  },
  {
    name: "Round trip",
    value: ({ sample, totals }) => format.duration(sample.roundTrip?.median ?? totals.roundTrip?.p50),
    note: ({ sample, totals }) => `95 % below ${format.duration(sample.roundTrip?.p95 ?? totals.roundTrip?.p95)}`,
  },
  {
    name: "Waiting to leave",
    value: ({ sample }) => format.bytes(sample.bufferedBytes),
    note: ({ totals }) => format.plural(totals.slowConsumers, "slow consumer"),
  },
  {
    name: "Dropped",
    value: ({ totals }) => format.count(totals.messagesDropped),
    note: ({ sample }) => format.rate(sample.droppedPerSecond),
  },
  {
    name: "Duration",
    value: ({ totals }) => format.duration(totals.averageConnectionDuration),
    note: () => "on average",
  },
];

/** Draws it. */
export class Overview {
  #charts = [
    new LineChart({
      id: "chart-messages",
      title: "Messages",
      series: [
        { name: "received", value: ({ receivedPerSecond }) => receivedPerSecond },
        { name: "sent", value: ({ sentPerSecond }) => sentPerSecond },
      ],
      format: format.rate,
    }),
    new LineChart({
      id: "chart-connections",
      title: "Connections",
      series: [{ name: "open", value: ({ connections }) => connections }],
      format: format.count,
    }),
    new LineChart({
      id: "chart-round-trip",
      title: "Round trip",
      series: [
        { name: "median", value: ({ roundTrip }) => roundTrip?.median ?? null },
        { name: "95 %", value: ({ roundTrip }) => roundTrip?.p95 ?? null },
      ],
      format: format.duration,
    }),
    new LineChart({
      id: "chart-waiting",
      title: "Waiting to leave",
      series: [{ name: "bytes", value: ({ bufferedBytes }) => bufferedBytes }],
      format: format.bytes,
      isBinary: true,
    }),
  ];
  #tiles = tiles.map(({ name, value, note }) => {
    const shown = element("dd", { className: "value", textContent: "–" });
    const noted = element("dd", { className: "note" });
    const tile = element("div", {}, [element("dt", { textContent: name }), shown, noted]);
    tile.dataset["testid"] = `tile-${name.toLowerCase().replaceAll(" ", "-")}`;
    return { tile, shown, noted, value, note };
  });
  /** @type {Sample[]} */
  #samples = [];
  #times = { history: 1, interval: 1 };
  #slow;
  #rooms;
  #channels;
  #codes;

  /** @param {{ onConnection: (id: string) => void, onRoom: (name: string) => void }} handlers */
  constructor({ onConnection, onRoom }) {
    byId("tiles", HTMLElement).append(...this.#tiles.map(({ tile }) => tile));
    byId("charts", HTMLElement).append(...this.#charts.map(({ figure }) => figure));
    this.#slow = new Rows(
      byId("slow", HTMLElement),
      /** @param {Snapshot["slowest"][number]} row */ ({ id }) => id,
      (id) => {
        const button = element("button", { type: "button", className: "open id", textContent: id });
        button.addEventListener("click", () => onConnection(id));
        const size = element("span", { className: "figure" });
        return {
          element: element("li", {}, [button, size]),
          update: ({ bufferedBytes }) => setText(size, format.bytes(bufferedBytes)),
        };
      },
    );
    this.#rooms = new Rows(
      byId("rooms", HTMLElement),
      /** @param {RoomRow} room */ ({ name }) => name,
      (name) => {
        const title = element("button", { type: "button", className: "open" }, [element("bdi", { textContent: name })]);
        title.addEventListener("click", () => onRoom(name));
        return groupRow(title, ({ userCount, connectionCount }) => [userCount, connectionCount]);
      },
    );
    this.#channels = new Rows(
      byId("channels", HTMLElement),
      // By place: of long names only the beginning is known, which several may share.
      /** @param {ChannelRow} _channel @param {number} index */ (_channel, index) => String(index),
      () => {
        const title = element("bdi", {});
        const row = groupRow(
          title,
          /** @param {ChannelRow} channel */ ({ subscriberCount, messageCount }) => [subscriberCount, messageCount],
        );
        return {
          element: row.element,
          update(channel) {
            setText(title, channel.name);
            row.update(channel);
          },
        };
      },
    );
    this.#codes = new Rows(
      byId("codes", HTMLElement),
      /** @param {{ code: string, count: number, share: number }} row */ ({ code }) => code,
      (code) => {
        const figure = element("span", { className: "figure" });
        const bar = element("span", { className: "share" });
        bar.setAttribute("aria-hidden", "true");
        const words = element("span", { className: "words" }, [
          element("b", { textContent: code }),
          ` ${format.closeNames[code] ?? ""}`,
        ]);
        return {
          element: element("li", {}, [words, figure, bar]),
          update: ({ count, share }) => {
            setText(figure, format.count(count));
            bar.style.width = `${(share * 100).toFixed(1)}%`;
          },
        };
      },
    );
  }

  /** Begins anew, with what the server remembers. @param {Welcome} welcome */
  begin({ samples, history, interval }) {
    this.#samples = [...samples];
    this.#times = { history, interval };
    this.#draw();
  }

  /** @param {Snapshot} snapshot */
  show(snapshot) {
    const { sample, totals, slowest, rooms, channels } = snapshot;
    this.#samples = this.#samples.filter(({ at }) => at > sample.at - this.#times.history);
    this.#samples.push(sample);
    this.#draw();
    for (const { shown, noted, value, note } of this.#tiles) {
      setText(shown, value(snapshot));
      setText(noted, note(snapshot));
    }
    this.#slow.show(slowest);
    byId("slow-empty", HTMLElement).hidden = slowest.length > 0;
    showGroups("rooms", rooms, this.#rooms);
    showGroups("channels", channels, this.#channels);
    const codes = Object.entries(totals.closeCodes).sort(([, one], [, other]) => other - one);
    const most = codes[0]?.[1] ?? 1;
    this.#codes.show(codes.map(([code, count]) => ({ code, count, share: count / most })));
    byId("codes-empty", HTMLElement).hidden = codes.length > 0;
  }

  #draw() {
    for (const chart of this.#charts) chart.draw(this.#samples, this.#times);
  }
}

/**
 * Shows how many rooms or channels there are, and the largest; nothing where there can be none.
 * @template Row
 * @param {"rooms" | "channels"} name
 * @param {import("../src/page-wire.ts").Groups<Row> | null} groups
 * @param {Rows<Row>} rows
 */
function showGroups(name, groups, rows) {
  byId(`${name}-panel`, HTMLElement).hidden = groups === null;
  if (!groups) return;
  const { count, largest } = groups;
  const isCut = largest.length < count;
  setText(
    byId(`${name}-count`, HTMLElement),
    isCut ? `${format.count(count)}, the largest ${format.count(largest.length)} shown` : format.count(count),
  );
  byId(`${name}-empty`, HTMLElement).hidden = count > 0;
  byId(`${name}-table`, HTMLElement).hidden = count === 0;
  rows.show(largest);
}

/**
 * A line of a room or channel: its name and its numbers.
 * @template Row
 * @param {HTMLElement} title
 * @param {(row: Row) => readonly [number, number]} numbersOf
 */
function groupRow(title, numbersOf) {
  const cells = [0, 1].map(() => element("td", { className: "number" }));
  return {
    element: element("tr", {}, [element("th", { scope: "row" }, [title]), ...cells]),
    /** @param {Row} row */
    update(row) {
      const numbers = numbersOf(row);
      cells.forEach((cell, index) => setText(cell, format.count(numbers[index])));
    },
  };
}
