//! The checks of the pushing face.

use super::recorder::Behaviour;
use super::{Fixture, Pair, expect, pattern};
use crate::failure::{Failure, Result};
use crate::transport::{ConnectionAborted, ConnectionDone, ConnectionLost, Transport};
use std::rc::Rc;

impl Fixture {
    /// Both transports, once the protocols are connected: the server's and the client's.
    async fn connected(&self) -> Result<(Transport, Transport)> {
        if let Some(Pair::Protocols(connecting)) = self.pair.take() {
            connecting.await?;
        }
        Ok((self.server.transport().await?, self.client.transport().await?))
    }

    /// Both ends were lost in order.
    async fn both_done(&self) -> Result {
        for log in [&self.server, &self.client] {
            let reason = log.until_lost().await?;
            expect(reason.is::<ConnectionDone>(), || format!("lost: {reason}"))?;
        }
        Ok(())
    }
}

pub(super) async fn echo(scene: Rc<Fixture>) -> Result {
    let (_, client) = scene.connected().await?;
    scene.server.set_manner(Behaviour::Echoes);
    let text = b"a rope of three strands";
    for cut in 0..=text.len() {
        scene.client.forget_data();
        for piece in [&text[..cut], &text[cut..]] {
            client.write(piece);
            client.drained().await?;
            scene.reactor.yield_now().await;
        }
        scene.client.until_data(text.len()).await;
        let heard = scene.client.data();
        expect(heard == text, || format!("cut at {cut}: \"{}\"", heard.escape_ascii()))?;
    }
    client.lose_connection();
    scene.both_done().await
}

pub(super) async fn much(scene: Rc<Fixture>) -> Result {
    let (server, client) = scene.connected().await?;
    let data = pattern(600_007);
    client.write(&data);
    for piece in data.chunks(7_000) {
        server.write(piece);
    }
    for log in [&scene.client, &scene.server] {
        log.until_data(data.len()).await;
        expect(log.data() == data, || "the bytes differ".into())?;
    }
    server.lose_connection();
    scene.both_done().await
}

pub(super) async fn half_close(scene: Rc<Fixture>) -> Result {
    let (server, client) = scene.connected().await?;
    scene.server.set_manner(Behaviour::Stays);
    scene.client.set_manner(Behaviour::Stays);
    client.write(b"question");
    client.lose_write_connection();
    client.write(b"too late");
    scene.server.until(|log| log.count("read closed") == 1).await;
    expect(scene.server.data() == b"question", || "the question differs".into())?;
    expect(server.is_connected(), || "the server's half ended too".into())?;
    server.write(b"answer");
    scene.client.until_data(6).await;
    scene.client.until(|log| log.count("write closed") == 1).await;
    server.lose_connection();
    scene.both_done().await?;
    expect(scene.client.data() == b"answer", || "the answer differs".into())
}

/// More than any system keeps for a peer that does not read.
const PLENTY: usize = 64 * 1024 * 1024;

pub(super) async fn pressure(scene: Rc<Fixture>) -> Result {
    let (server, client) = scene.connected().await?;
    client.pause_reading();
    let piece = pattern(60_000);
    let mut written = 0;
    while scene.server.count("full") == 0 && written < PLENTY {
        server.write(&piece);
        written += piece.len();
        scene.reactor.yield_now().await;
    }
    expect(scene.server.count("full") == 1, || format!("{written} bytes and it was not full"))?;
    expect(scene.server.count("room") == 0, || "there was room before the peer read".into())?;
    client.resume_reading();
    scene.server.until(|log| log.count("room") == 1).await;
    scene.client.until_data(written).await;
    let whole = scene.client.data().chunks(piece.len()).all(|other| other == piece);
    expect(whole && scene.server.count("full") == 1, || "the bytes differ".into())?;
    client.lose_connection();
    scene.both_done().await
}

pub(super) async fn pause(scene: Rc<Fixture>) -> Result {
    let (server, client) = scene.connected().await?;
    server.pause_reading();
    client.write(b"wait");
    client.drained().await?;
    for _ in 0..50 {
        scene.reactor.yield_now().await;
    }
    expect(scene.server.count("data") == 0, || "it got bytes while paused".into())?;
    server.resume_reading();
    scene.server.until_data(4).await;
    client.lose_connection();
    scene.both_done().await
}

pub(super) async fn lose(scene: Rc<Fixture>) -> Result {
    let (server, client) = scene.connected().await?;
    let data = pattern(500_000);
    server.write(&data);
    server.lose_connection();
    server.write(b"too late");
    server.lose_connection();
    expect(!server.is_connected(), || "it is connected after lose_connection".into())?;
    scene.both_done().await?;
    expect(scene.client.data() == data, || format!("{} bytes came", scene.client.data().len()))?;
    // After the end they do nothing.
    client.write(b"nobody");
    client.abort_connection();
    client.resume_reading();
    Ok(())
}

pub(super) async fn abort(scene: Rc<Fixture>) -> Result {
    let (_, client) = scene.connected().await?;
    client.abort_connection();
    client.abort_connection();
    client.lose_connection();
    let own = scene.client.until_lost().await?;
    expect(own.is::<ConnectionAborted>(), || format!("who aborted was told: {own}"))?;
    let others = scene.server.until_lost().await?;
    let is_right = others.is::<ConnectionLost>();
    expect(is_right || !scene.resets, || format!("the peer of who aborted was told: {others}"))
}

pub(super) async fn error(scene: Rc<Fixture>) -> Result {
    let (_, client) = scene.connected().await?;
    scene.server.set_manner(Behaviour::Fails);
    // The failure that is made on purpose is reported, once.
    client.write(b"x");
    let own = scene.server.until_lost().await?;
    expect(own.to_string() == "on purpose", || format!("who failed was told: {own}"))?;
    scene.client.until_lost().await.map(drop)
}

pub(super) async fn told(scene: Rc<Fixture>) -> Result {
    let (server, client) = scene.connected().await?;
    let before = [server.peer(), server.host(), client.peer(), client.host()];
    client.write(pattern(100_000));
    client.drained().await?;
    scene.server.until_data(100_000).await;
    client.lose_connection();
    scene.both_done().await?;
    let after = [server.peer(), server.host(), client.peer(), client.host()];
    expect(before == after, || format!("{before:?} became {after:?}"))?;
    match client.drained().await {
        Err(failure) if failure.is::<ConnectionDone>() => Ok(()),
        Err(failure) => Err(failure),
        Ok(()) => Err(Failure::msg("a lost connection was drained")),
    }
}
