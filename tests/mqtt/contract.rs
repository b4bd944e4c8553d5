//! What the contract says of topics, wills and retention, through a broker that comes and goes.

use std::collections::{BTreeMap, BTreeSet};

use rumqttc::QoS;

use super::support::{Broker, DEADLINE, info, json, label, lost_video, next, next_on, start};

#[tokio::test]
async fn topics_payloads_and_retention_are_those_of_the_contract() {
    let broker = Broker::start("allow_anonymous true");
    let (messages, running) = start(&broker.settings());
    let mut live = broker.subscribe("live");
    // Labels are not retained: the subscriber is there before they come.
    next_on(&mut live, "cmpt/node/status").await;
    for message in [info(), lost_video(), label(0)] {
        messages.send(message).await.unwrap();
    }
    let event = next_on(&mut live, "cmpt/node/stream/desk/label").await;
    assert!(!event.retain && event.qos == QoS::AtLeastOnce);
    assert_eq!(json(&event)["seq"], 0);

    drop(live);
    let mut late = broker.subscribe("late");
    let mut retained = BTreeMap::new();
    while retained.len() < 4 {
        let message = next(&mut late).await;
        assert!(message.retain, "{} is retained", message.topic);
        retained.insert(message.topic.clone(), json(&message));
    }
    assert_eq!(retained["cmpt/node/status"], serde_json::json!({"state": "online", "boot_id": "boot"}));
    assert_eq!(retained["cmpt/node/info"]["engine"], "linear");
    assert_eq!(retained["cmpt/node/stream/desk/state"]["seq"], 0);
    assert_eq!(
        retained["cmpt/node/stream/desk/sensor/video"],
        serde_json::json!({"state": "lost", "reason": "frozen", "since_ms": 5})
    );

    drop(messages);
    running.await.unwrap().unwrap();
    assert_eq!(json(&next_on(&mut late, "cmpt/node/status").await)["state"], "stopped");
}

#[tokio::test]
async fn a_killed_daemon_leaves_its_last_will() {
    let broker = Broker::start("allow_anonymous true");
    let mut live = broker.subscribe("live");
    let (_messages, running) = start(&broker.settings());
    assert_eq!(json(&next_on(&mut live, "cmpt/node/status").await)["state"], "online");
    // The connection breaks without a word, as when the process is killed.
    running.abort();
    let will = next_on(&mut live, "cmpt/node/status").await;
    assert_eq!(json(&will), serde_json::json!({"state": "offline", "boot_id": "boot"}));
}

#[tokio::test]
async fn a_broker_that_restarts_costs_no_label() {
    const LABELS: u64 = 300;
    let mut broker = Broker::start("allow_anonymous true");
    let mut live = broker.subscribe("live");
    let (messages, running) = start(&broker.settings());
    messages.send(info()).await.unwrap();
    messages.send(lost_video()).await.unwrap();
    next_on(&mut live, "cmpt/node/status").await;

    for seq in 0..LABELS {
        messages.send(label(seq)).await.unwrap();
        if seq == LABELS / 3 {
            // Some are through, and more are on their way when it goes down.
            next_on(&mut live, "cmpt/node/stream/desk/label").await;
            broker.stop();
        }
        if seq == 2 * LABELS / 3 {
            broker.restart();
        }
    }
    // The first was taken from the queue above.
    let mut seen = BTreeSet::from([0]);
    while seen.last() != Some(&(LABELS - 1)) {
        let message = next_on(&mut live, "cmpt/node/stream/desk/label").await;
        seen.insert(json(&message)["seq"].as_u64().unwrap());
    }
    drop(messages);
    running.await.unwrap().unwrap();
    assert_eq!((0..LABELS).filter(|seq| !seen.contains(seq)).collect::<Vec<_>>(), [0; 0]);
}

#[tokio::test]
async fn a_user_that_the_broker_refuses_is_named_and_waited_for() {
    let broker = Broker::start("allow_anonymous false");
    let (messages, running) = start(&broker.settings());
    messages.send(label(0)).await.unwrap();
    drop(messages);
    // It ends by itself: a broker that refuses does not hold up the end.
    tokio::time::timeout(DEADLINE, running).await.expect("it ends").unwrap().unwrap();
}
