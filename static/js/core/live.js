/* live.js: a search's events, as they happen, and the truth about how fresh the page is.

   const live = connect({wsUrl, eventsUrl, after, onEvents, onState, onHead, onReload});  live.close()
     wsUrl      "/ws/searches/7/"        eventsUrl "/searches/7/events" (asked with ?after=N)      after: last sequence number of the page
     onEvents(batch)   events in order, none twice, none missing: [{seq, kind, data}]; the first batch at once, then at most 4 a second
     onState(state, info)   "live" | "catching-up" | "paused" | "offline";  paused = no news for 2.5 s, the page asks every 2 s instead
     onHead(message)   optional: the head message of each second ({seq, state, ...})
     onReload()        optional: more than 1,000 events behind; default: loads the page again

   Messages of the socket: {"type": "event", "seq", "kind", "data"} and every second {"type": "head", "seq", "state"}. A number that does
   not follow the last one, a head that is ahead, a new connection: the gap is fetched from eventsUrl -> {events, head, reload}.
   The events carry absolute values, so that applying one twice does no harm.

   indicator(root) -> onState: keeps every [data-live-indicator] under root; data-live-workers on it is said behind the word. */
import { $$, setText } from "./dom.js";

const SILENCE = 2500;
const POLL = 2000;
const DELIVER = 250;
const LIMIT = 1000;
const WORDS = { live: "live", "catching-up": "catching up", paused: "live updates paused", offline: "offline" };

export function connect({ wsUrl, eventsUrl, after = 0, onEvents, onState = () => {}, onHead = () => {}, onReload = () => location.reload() }) {
  let seq = after; // everything up to here is queued or delivered
  let socket = null;
  let socketUp = false;
  let attempts = 0;
  let lastNews = performance.now();
  let fetching = false;
  let again = false;
  let closed = false;
  let shown = null;
  let reconnectTimer = null;
  let fetchFailed = false;
  const queue = [];
  const ahead = new Map(); // events that came before the gap in front of them was filled
  let deliverTimer = null;
  let lastDelivery = -Infinity;

  const show = (state) => {
    if (state === shown || closed) return;
    shown = state;
    onState(state, { seq });
  };

  function deliver() {
    deliverTimer = null;
    if (closed || !queue.length) return;
    lastDelivery = performance.now();
    onEvents(queue.splice(0));
  }

  function schedule() {
    if (deliverTimer !== null || !queue.length) return;
    const wait = lastDelivery + DELIVER - performance.now();
    if (wait <= 0) deliver();
    else deliverTimer = setTimeout(deliver, wait);
  }

  function accept(event) {
    if (event.seq <= seq) return;
    seq = event.seq;
    queue.push(event);
  }

  /** Take what now follows without a gap. */
  function drain() {
    while (ahead.has(seq + 1)) {
      const next = ahead.get(seq + 1);
      ahead.delete(seq + 1);
      accept(next);
    }
    for (const key of ahead.keys()) if (key <= seq) ahead.delete(key);
    schedule();
  }

  async function catchUp() {
    if (closed) return;
    if (fetching) {
      again = true;
      return;
    }
    fetching = true;
    again = false;
    if (socketUp && shown !== "paused") show("catching-up");
    try {
      const joint = eventsUrl.includes("?") ? "&" : "?";
      const answer = await fetch(`${eventsUrl}${joint}after=${seq}`, { headers: { Accept: "application/json" }, credentials: "same-origin", cache: "no-store" });
      if (!answer.ok) throw new Error(String(answer.status));
      const { events, head, reload } = await answer.json();
      if (closed) return;
      fetchFailed = false;
      if (reload || head - seq > LIMIT) {
        closed = true;
        socket?.close();
        onReload();
        return;
      }
      for (const event of events) accept(event);
      // numbers that will never come (a deleted row) must not ask for ever
      if (events.length === 0 && head > seq) seq = head;
      drain();
      if (head > seq) again = true;
      settle();
    } catch {
      fetchFailed = true;
      again = false;
      settle();
    } finally {
      fetching = false;
      if (again && !closed) setTimeout(catchUp, 50);
    }
  }

  /** What is true now. */
  function settle() {
    const silent = performance.now() - lastNews > SILENCE;
    if (!navigator.onLine || fetchFailed && (silent || !socketUp)) show("offline");
    else if (!socketUp || silent) show("paused");
    else if (again || ahead.size) show("catching-up");
    else show("live");
  }

  function onMessage(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    lastNews = performance.now();
    fetchFailed = false;
    if (message.type === "event") {
      if (message.seq === seq + 1) {
        accept(message);
        drain();
      } else if (message.seq > seq) {
        ahead.set(message.seq, message);
        catchUp();
      }
    } else if (message.type === "head") {
      onHead(message);
      if (message.seq > seq) catchUp();
    }
    if (!fetching) settle();
  }

  function open() {
    if (closed) return;
    const address = new URL(wsUrl, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    socket = new WebSocket(address);
    socket.onopen = () => {
      socketUp = true;
      attempts = 0;
      lastNews = performance.now();
      catchUp();
    };
    socket.onmessage = ({ data }) => onMessage(data);
    socket.onclose = ({ code }) => {
      socketUp = false;
      if (closed) return;
      settle();
      if (code === 4401 || code === 4403 || code === 4404) return; // refused for good: the poll goes on saying so
      attempts += 1;
      reconnectTimer = setTimeout(open, Math.min(4000, 250 * 2 ** Math.min(attempts, 4)) * (0.75 + Math.random() / 2));
    };
  }

  const watch = setInterval(() => {
    if (performance.now() - lastNews > SILENCE || !socketUp) {
      settle();
      if (!fetching) catchUp();
    }
  }, POLL);

  const onOnline = () => {
    fetchFailed = false;
    if (!socketUp) {
      clearTimeout(reconnectTimer);
      if (socket?.readyState !== WebSocket.CONNECTING) open();
    }
    catchUp();
  };
  const onVisible = () => document.visibilityState === "visible" && catchUp();
  addEventListener("online", onOnline);
  addEventListener("offline", settle);
  document.addEventListener("visibilitychange", onVisible);

  show("catching-up");
  open();

  return {
    get seq() {
      return seq;
    },
    get state() {
      return shown;
    },
    catchUp,
    close() {
      closed = true;
      clearInterval(watch);
      clearTimeout(reconnectTimer);
      clearTimeout(deliverTimer);
      removeEventListener("online", onOnline);
      removeEventListener("offline", settle);
      document.removeEventListener("visibilitychange", onVisible);
      socket?.close();
    },
  };
}

export function indicator(root = document) {
  return (state) => {
    for (const node of $$("[data-live-indicator]", root)) {
      node.dataset.live = state;
      const workers = state === "live" ? node.dataset.liveWorkers : "";
      setText(node, workers ? `${WORDS[state]}, ${workers}` : WORDS[state]);
    }
  };
}
