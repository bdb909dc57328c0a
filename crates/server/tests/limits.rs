//! What a person may use of the server, on real sockets: who is over a limit is told how long to wait, everybody else goes on.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod common;

use common::{Device, Running};
use landfall_protocol::{ClientMessage, Form, Hello, ServerMessage};
use landfall_server::core::Allowance;
use landfall_server::http::Options;

async fn start(allowance: Allowance) -> Running {
    let how = Options { allowance, ..Options::default() };
    Running::start_as(tempfile::tempdir().unwrap(), |_| {}, how).await
}

async fn greet(server: &Running, number: u8, who: &str) -> (Device, ServerMessage) {
    let mut device = Device::connect(server.address, number, Form::Binary).await;
    let hello = Hello { token: Some(format!("dev:{who}")), ..device.hello() };
    device.send(&ClientMessage::Hello(hello)).await;
    let answer = device.receive().await.unwrap();
    (device, answer)
}

/// LF-4009, and how long to wait, milliseconds.
async fn told_to_wait(device: &mut Device, push: u32) -> u64 {
    let answer = |message| match message {
        ServerMessage::Error { code, fatal: false, retry_after_ms, about, .. } if about == Some(push) => {
            Some((code.to_string(), retry_after_ms))
        }
        ServerMessage::Acknowledge { id, .. } if id == push => panic!("push {id} was taken"),
        _ => None,
    };
    let (code, wait) = device.until(answer).await;
    assert_eq!(code, "LF-4009");
    wait.unwrap()
}

async fn has_line(server: &Running, line: &str) {
    let metrics = reqwest::get(server.url("/metrics")).await.unwrap().text().await.unwrap();
    assert!(metrics.lines().any(|l| l == line), "{line} is missing in\n{metrics}");
}

/// P13.
#[tokio::test]
async fn one_who_pushes_too_much_waits_and_others_do_not() {
    let server = start(Allowance { subject_entries: 1, burst_seconds: 60, ..Allowance::NONE }).await;
    let (mut noisy, _) = greet(&server, 1, "noisy").await;
    let notes = (0..60).map(|_| noisy.note("sea", "much")).collect();
    noisy.push(1, notes).await;
    assert_eq!(noisy.accepted(1).await.len(), 60, "a minute's worth at once");
    let more: Vec<_> = (0..20).map(|_| noisy.note("sea", "more")).collect();
    noisy.push(2, more.clone()).await;
    let wait = told_to_wait(&mut noisy, 2).await;
    assert!((10_000..=30_000).contains(&wait), "some twenty seconds, with jitter: {wait}");
    // Another device of the same person is the same person.
    let (mut second, _) = greet(&server, 2, "noisy").await;
    let note: Vec<_> = (0..20).map(|_| second.note("sea", "more")).collect();
    second.push(1, note).await;
    told_to_wait(&mut second, 1).await;
    let (mut ada, _) = greet(&server, 3, "ada").await;
    let note = ada.note("sea", "little");
    ada.push(1, vec![note]).await;
    assert_eq!(ada.accepted(1).await.len(), 1);
    has_line(&server, "landfall_refusals_total{limit=\"rate\"} 2").await;
}

/// S11.
#[tokio::test]
async fn connections_of_one_person_are_counted_and_those_that_end_make_room() {
    let server = start(Allowance { subject_connections: 2, ..Allowance::NONE }).await;
    let (first, _) = greet(&server, 1, "ada").await;
    let (_second, _) = greet(&server, 2, "ada").await;
    let (mut third, answer) = greet(&server, 3, "ada").await;
    let ServerMessage::Error { code, fatal: true, retry_after_ms: Some(wait), .. } = answer else {
        panic!("{answer:?}")
    };
    assert!(code.as_str() == "LF-4009" && (5_000..=7_500).contains(&wait), "{code} {wait}");
    assert!(third.receive().await.is_none());
    let (_, answer) = greet(&server, 4, "bob").await;
    assert!(matches!(answer, ServerMessage::Welcome(_)), "{answer:?}");
    drop(first);
    // The server hears of it when it reads from that socket.
    while !matches!(greet(&server, 5, "ada").await.1, ServerMessage::Welcome(_)) {}
}

/// S11.
#[tokio::test]
async fn a_server_with_enough_connections_says_so_before_it_takes_another() {
    let server = start(Allowance { connections: 1, ..Allowance::NONE }).await;
    let (_device, _) = greet(&server, 1, "ada").await;
    let request = reqwest::Client::new()
        .get(server.url("/v1/sync"))
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 503);
    let wait: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((5..=8).contains(&wait), "{wait}");
    assert!(answer.text().await.unwrap().contains("LF-4009"));
    has_line(&server, "landfall_refusals_total{limit=\"connections\"} 1").await;
}
