//! A site and its clients over a bad network, in virtual time, and a bug that only some orders of events show.
//!
//!     cargo run --features http,simulation --example http_simulation
//!
//! The site sells tickets, and looks how many are left before it waits for the payment instead of after it. One
//! client alone never sees that. The simulator tries seeds until two customers get the last ticket, and
//! names the seed: run with it, the same happens again.

use ropewalk::http::{Request, Site};
use ropewalk::prelude::*;
use ropewalk::simulation::{Latency, Link, Simulation, for_each_seed};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

fn shop(tickets: i32) -> Site {
    let left = Rc::new(Cell::new(tickets));
    Site::of(async move |request: Request| {
        if left.get() == 0 {
            return Ok("sold out");
        }
        let payment = request.reactor().random() % 50;
        ropewalk::sleep(Duration::from_millis(payment)).await; // the bug: others buy meanwhile
        left.set(left.get() - 1);
        Ok("sold")
    })
}

async fn buy(reactor: Reactor) -> Result<bool> {
    let mut stream = reactor.open("shop:80").await?;
    stream.write_all(b"POST /ticket HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.ends_with("sold"))
}

fn scenario(simulation: &Simulation) -> Result {
    let bad = Latency::LongTailed(Duration::from_millis(5), Duration::from_millis(100));
    simulation.set_default_link(Link::new().latency(bad).loss(0.05));
    simulation.host("shop").reactor().listen("0.0.0.0:80", shop(2))?;
    let sold = Rc::new(Cell::new(0));
    for customer in ["ann", "bob", "cyd"] {
        let (count, reactor) = (sold.clone(), simulation.host(customer).reactor());
        let buying = reactor.spawn(buy(reactor.clone()));
        buying.map(move |bought| count.set(count.get() + i32::from(bought)));
    }
    simulation.run_for(Duration::from_secs(120))?;
    match sold.get() {
        0..=2 => Ok(()),
        sold => Err(Failure::msg(format!("{sold} of 2 tickets were sold"))),
    }
}

fn main() -> Result {
    match for_each_seed(0..1000, scenario) {
        Ok(survey) => println!("no seed shows the bug: {survey}"),
        Err(found) => println!("{found}"),
    }
    Ok(())
}
