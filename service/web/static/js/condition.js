// How things stand, in one word for the header and, when it is bad, one sentence for the banner.
export function condition({ hello, now }, silent) {
  if (silent) {
    return {
      kind: "bad",
      text: "No answer",
      banner: "The service does not answer. The numbers are the last ones it sent; the page tries again by itself.",
    };
  }
  if (!now) return { kind: "wait", text: "Connecting", banner: "" };
  const reachable = now.worker.broker_reachable;
  if (reachable === 0) {
    return {
      kind: "bad",
      text: "Kafka unreachable",
      banner: `No bootstrap server takes a connection (${hello.servers}). Events wait in Kafka; nothing is lost. Check that the brokers run and that kafka.bootstrap_servers is right.`,
    };
  }
  if (now.state === "reconnecting") {
    return {
      kind: "bad",
      text: "Reconnecting",
      banner: `The connection to Kafka (${hello.servers}) was lost. The service makes a new one and goes on from the last commit; the log says why.`,
    };
  }
  if (now.state === "stopped") return { kind: "bad", text: "Stopped", banner: "The service has stopped." };
  if (now.state !== "running") return { kind: "wait", text: "Starting", banner: "" };
  if (!now.owned.length) return { kind: "wait", text: "Waiting for partitions", banner: "" };
  return { kind: "good", text: "Live", banner: "" };
}
