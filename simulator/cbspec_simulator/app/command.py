"""`cbspec simulate`: starts the reference relay.

Variations are imported if one is chosen or listed: that takes 50 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Iterable
from dataclasses import replace

from cbspec.exit_codes import ExitCode
from cbspec.profile.identity import IdentityError
from cbspec_simulator.app.announce import announce, conclude
from cbspec_simulator.app.assembly import Simulator
from cbspec_simulator.app.deployment import Deployment, write_profile
from cbspec_simulator.app.life import Lifetime, live
from cbspec_simulator.app.options import TRANSPORTS, configure
from cbspec_simulator.observe import log
from cbspec_simulator.relay.behaviour import Behaviour
from cbspec_simulator.settings.config import Config, ConfigError
from cbspec_simulator.settings.reading import load_config
from cbspec_simulator.settings.scenarios import scenario_file, scenarios

__all__ = ["configure", "run"]


def run(args: argparse.Namespace) -> int:
    """Serve until a signal or an option ends the relay; return the exit code."""
    wanted = [name for name in ("scenarios", "deviations", "variants", "open_points") if getattr(args, f"list_{name}")]
    for name in wanted:
        _print_table(_listed(name))
    if wanted:
        return 0
    try:
        _configure_openssl(args)
        log.configure(args.log_level, args.log_format)
        _serve(args)
    except (ConfigError, IdentityError) as error:
        for line in str(error).splitlines():
            print(f"cbspec simulate: {line}", file=sys.stderr)
        return ExitCode.WRONG_USE
    return 0


def _listed(name: str) -> Iterable[tuple[str, ...]]:
    """Return the rows of a list."""
    from cbspec_simulator.variations.registry import OPEN_POINTS, PERSONAS, VARIANTS

    if name == "scenarios":
        return scenarios()
    if name == "variants":
        return ((item.id, item.sentence) for item in VARIANTS.values())
    items = PERSONAS if name == "deviations" else OPEN_POINTS
    return ((item.id, item.requirement, item.sentence) for item in items.values())


def _configure_openssl(args: argparse.Namespace) -> None:
    """Restart the process with the OpenSSL configuration of a variant: OpenSSL reads it only at the start."""
    if not args.variant:
        return
    from cbspec_simulator.variations.registry import VARIANTS, check_ids

    check_ids("variant", args.variant, VARIANTS, option=True)
    files = {str(VARIANTS[id_].openssl) for id_ in args.variant if VARIANTS[id_].openssl}
    if files and os.environ.get("OPENSSL_CONF") not in files:
        environment = {**os.environ, "OPENSSL_CONF": files.pop()}
        os.execve(sys.executable, sys.orig_argv, environment)  # noqa: S606 - the same program and arguments


def _print_table(rows: Iterable[tuple[str, ...]]) -> None:
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _config(args: argparse.Namespace) -> Config:
    files = [file for file in (args.config, args.scenario and scenario_file(args.scenario)) if file]
    config = _arranged(load_config(*files), args)
    named = {name: getattr(args, name) for name in ("host", "port") if getattr(args, name) is not None}
    config = replace(
        config,
        listen=replace(config.listen, **named),
        development=config.development or args.development,
        names=(*config.names, *args.name),
        control=replace(config.control, port=args.control) if args.control is not None else config.control,
        seed=config.seed if args.seed is None else args.seed,
    )
    if args.secret_env:
        secret = os.environ.get(args.secret_env)
        if not secret:
            raise ConfigError(f"--secret-env: the environment variable {args.secret_env} is not set or empty")
        tokens = replace(config.tokens, secret=secret, secret_env=args.secret_env)
        config = replace(config, tokens=replace(tokens, key_file=None, jwks_file=None, jwks_url=None))
    config.check()
    return config


def _arranged(config: Config, args: argparse.Namespace) -> Config:
    """Return the configuration that the chosen variations need."""
    if not (args.open_point or args.deviation or args.variant):
        return config
    from cbspec_simulator.variations.registry import OPEN_POINTS, PERSONAS, arranged, check_ids

    check_ids("open-point", args.open_point, OPEN_POINTS, option=True)
    check_ids("persona", args.deviation, PERSONAS, option=True)
    return arranged(config, *args.deviation, *args.variant, *args.open_point)


def _behaviour(args: argparse.Namespace) -> Behaviour:
    ids = (*TRANSPORTS[args.transport], *args.variant, *args.open_point, *args.deviation)
    if not ids:
        return Behaviour()
    from cbspec_simulator.variations.registry import varied

    return varied(Behaviour(), *ids)


def _serve(args: argparse.Namespace) -> None:
    def read() -> Config:
        return _config(args)

    config = read()
    life = Lifetime(args.grace, args.max_time, with_parent=args.exit_with_parent)
    behaviour = _behaviour(args)
    if args.profile_out is None:
        simulator = Simulator(config, behaviour=behaviour, transcript=args.transcript)
        asyncio.run(live(simulator, read, lambda: announce(simulator, None, args), life))
        conclude(simulator, args)
        return
    deployment = Deployment(config, behaviour, transcript=args.transcript)

    def ready() -> None:
        write_profile(deployment.profile(), args.profile_out)
        announce(deployment.main, deployment, args)

    asyncio.run(live(deployment, read, ready, life))
    conclude(deployment.main, args)
