//! Twenty puts over a radio link, with a cut and a crash on the way.

use crate::client::ask;
use crate::service::boot;
use ropewalk::simulation::{Latency, Link, Simulation};
use ropewalk::{Failure, Result};
use std::time::Duration;

const PUTS: u32 = 20;

pub(crate) fn play(simulation: &Simulation, is_planted: bool) -> Result {
    let (client, server) = (simulation.host("client"), simulation.host("server"));
    boot(&server);
    let radio = Latency::LongTailed(Duration::from_millis(5), Duration::from_millis(20));
    simulation.set_link(&client, &server, Link::new().latency(radio).loss(0.005));
    simulation.plan_troubles(&[server], 1, Duration::from_secs(5));
    simulation.script("cut client-server at 700 ms for 150 ms")?;
    let reactor = client.reactor();
    let count = client.reactor().spawn(async move {
        for number in 1..=PUTS {
            ask(&reactor, &format!("put key{number} {number}\n"), is_planted).await?;
            reactor.sleep(Duration::from_millis(100)).await;
        }
        ask(&reactor, "count\n", is_planted).await
    });
    let count = simulation.run_until(count)?;
    if count == PUTS.to_string() {
        return Ok(());
    }
    Err(Failure::msg(format!("{PUTS} puts were answered, but {count} are stored")))
}
