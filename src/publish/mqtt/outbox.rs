//! What the broker has not acknowledged yet. Pure: it knows neither sockets nor time.
//!
//! The client library forgets what is on its way when a connection ends, so nothing leaves this
//! outbox but by an acknowledgement, or as the oldest when it is full. Events are kept each; of a
//! retained topic only the latest payload counts, and all retained topics are sent again on every
//! connection, because a broker may have lost them.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroUsize;

use bytes::Bytes;

/// Publishes on their way at once. Far below what the client allows, so that it never holds one back.
const IN_FLIGHT: usize = 16;

/// Events and retained topics that wait for the broker.
#[derive(Debug)]
pub struct Outbox {
    /// In order; the first `events_on_way` are on their way.
    events: VecDeque<Event>,
    events_on_way: usize,
    capacity: usize,
    next_id: u64,
    retained: BTreeMap<String, Retained>,
    /// Given to the client, packet id not known yet, in order.
    handed: VecDeque<Item>,
    /// On their way, by packet id.
    in_flight: BTreeMap<u16, Item>,
}

/// Something to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Its topic.
    pub topic: String,
    /// Its payload.
    pub payload: Bytes,
    /// Whether the broker keeps it.
    pub retain: bool,
}

#[derive(Debug)]
struct Event {
    id: u64,
    topic: String,
    payload: Bytes,
}

#[derive(Debug)]
struct Retained {
    payload: Bytes,
    to_send: bool,
}

#[derive(Debug)]
enum Item {
    Event(u64),
    Retained,
}

impl Outbox {
    /// An empty outbox that keeps `capacity` events.
    pub fn new(capacity: NonZeroUsize) -> Self {
        Self {
            events: VecDeque::new(),
            events_on_way: 0,
            capacity: capacity.get(),
            next_id: 0,
            retained: BTreeMap::new(),
            handed: VecDeque::new(),
            in_flight: BTreeMap::new(),
        }
    }

    /// Adds an event. Returns whether the oldest one had to make room.
    pub fn push(&mut self, topic: String, payload: impl Into<Bytes>) -> bool {
        let full = self.events.len() == self.capacity;
        if full {
            self.events.pop_front();
            self.events_on_way = self.events_on_way.saturating_sub(1);
        }
        self.events.push_back(Event { id: self.next_id, topic, payload: payload.into() });
        self.next_id += 1;
        full
    }

    /// Sets the payload of a retained topic.
    pub fn retain(&mut self, topic: String, payload: impl Into<Bytes>) {
        self.retained.insert(topic, Retained { payload: payload.into(), to_send: true });
    }

    /// A connection begins: whatever is not acknowledged is sent (again), and every retained topic.
    pub fn connected(&mut self) {
        self.handed.clear();
        self.in_flight.clear();
        self.events_on_way = 0;
        for retained in self.retained.values_mut() {
            retained.to_send = true;
        }
    }

    /// The next thing to give to the client, retained topics first; `None` while enough is on its way.
    pub fn hand_over(&mut self) -> Option<Publication> {
        if self.handed.len() + self.in_flight.len() >= IN_FLIGHT {
            return None;
        }
        if let Some((topic, retained)) = self.retained.iter_mut().find(|(_, retained)| retained.to_send) {
            retained.to_send = false;
            self.handed.push_back(Item::Retained);
            return Some(Publication {
                topic: topic.clone(),
                payload: retained.payload.clone(),
                retain: true,
            });
        }
        let event = self.events.get(self.events_on_way)?;
        self.events_on_way += 1;
        self.handed.push_back(Item::Event(event.id));
        Some(Publication { topic: event.topic.clone(), payload: event.payload.clone(), retain: false })
    }

    /// The client has sent what was handed over first, as packet `id`.
    pub fn sent(&mut self, id: u16) {
        if let Some(item) = self.handed.pop_front() {
            self.in_flight.insert(id, item);
        }
    }

    /// The broker has packet `id`.
    pub fn acknowledged(&mut self, id: u16) {
        if let Some(Item::Event(event)) = self.in_flight.remove(&id)
            && let Ok(index) = self.events.binary_search_by_key(&event, |event| event.id)
        {
            self.events.remove(index);
            self.events_on_way -= 1;
        }
    }

    /// Events that are not acknowledged.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether everything has been sent and acknowledged.
    pub fn is_settled(&self) -> bool {
        let retained_sent = self.retained.values().all(|retained| !retained.to_send);
        self.events.is_empty() && retained_sent && self.handed.is_empty() && self.in_flight.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn outbox(capacity: usize) -> Outbox {
        Outbox::new(NonZeroUsize::new(capacity).unwrap())
    }

    fn hand_over_all(outbox: &mut Outbox) -> Vec<String> {
        std::iter::from_fn(|| outbox.hand_over())
            .map(|publication| String::from_utf8(publication.payload.to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn an_event_leaves_only_when_it_is_acknowledged() {
        let mut outbox = outbox(8);
        outbox.push("t".into(), "a");
        outbox.push("t".into(), "b");
        assert_eq!(hand_over_all(&mut outbox), ["a", "b"]);
        assert_eq!(outbox.len(), 2);
        outbox.sent(1);
        outbox.sent(2);
        outbox.acknowledged(2);
        assert_eq!(outbox.len(), 1);
        outbox.connected();
        assert_eq!(hand_over_all(&mut outbox), ["a"]);
    }

    #[test]
    fn a_connection_gets_every_retained_topic_again_and_only_its_latest_payload() {
        let mut outbox = outbox(8);
        outbox.retain("status".into(), "old");
        outbox.retain("status".into(), "new");
        outbox.retain("info".into(), "i");
        outbox.push("label".into(), "l");
        assert_eq!(hand_over_all(&mut outbox), ["i", "new", "l"]);
        (1..=3).for_each(|id| outbox.sent(id));
        (1..=3).for_each(|id| outbox.acknowledged(id));
        assert!(outbox.is_settled());
        outbox.connected();
        assert_eq!(hand_over_all(&mut outbox), ["i", "new"]);
    }

    #[test]
    fn a_full_outbox_loses_its_oldest_event() {
        let mut outbox = outbox(2);
        assert!(!outbox.push("t".into(), "a"));
        assert!(!outbox.push("t".into(), "b"));
        assert!(outbox.push("t".into(), "c"));
        assert_eq!(hand_over_all(&mut outbox), ["b", "c"]);
    }

    #[test]
    fn what_is_on_its_way_is_bounded() {
        let mut outbox = outbox(100);
        for n in 0..50 {
            outbox.push("t".into(), n.to_string());
        }
        assert_eq!(hand_over_all(&mut outbox).len(), IN_FLIGHT);
        outbox.sent(1);
        outbox.acknowledged(1);
        assert_eq!(hand_over_all(&mut outbox), [IN_FLIGHT.to_string()]);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push,
        Pump,
        Acknowledge,
        Reconnect,
    }

    proptest! {
        #[test]
        fn no_event_is_lost_whenever_the_connection_is(
            steps in prop::collection::vec(
                prop_oneof![Just(Step::Push), Just(Step::Pump), Just(Step::Acknowledge), Just(Step::Reconnect)],
                0..200,
            )
        ) {
            let mut outbox = outbox(1000);
            let (mut pushed, mut next_packet) = (0_u32, 0_u16);
            // As a broker sees them: packets on the wire, and payloads it has acknowledged.
            let mut wire: VecDeque<(u16, String)> = VecDeque::new();
            let mut received = BTreeSet::new();
            let mut pump = |outbox: &mut Outbox, wire: &mut VecDeque<(u16, String)>| {
                for payload in hand_over_all(outbox) {
                    next_packet += 1;
                    outbox.sent(next_packet);
                    wire.push_back((next_packet, payload));
                }
            };
            for step in steps {
                match step {
                    Step::Push => {
                        outbox.push("t".into(), pushed.to_string());
                        pushed += 1;
                    }
                    Step::Pump => pump(&mut outbox, &mut wire),
                    Step::Acknowledge => if let Some((packet, payload)) = wire.pop_front() {
                        received.insert(payload);
                        outbox.acknowledged(packet);
                    },
                    Step::Reconnect => {
                        wire.clear();
                        outbox.connected();
                    }
                }
            }
            while !outbox.is_settled() {
                pump(&mut outbox, &mut wire);
                while let Some((packet, payload)) = wire.pop_front() {
                    received.insert(payload);
                    outbox.acknowledged(packet);
                }
            }
            prop_assert_eq!(received, (0..pushed).map(|n| n.to_string()).collect::<BTreeSet<_>>());
        }
    }
}
