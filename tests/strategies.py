"""Defines Hypothesis strategies: graphs, and disguises of them that train the same target."""

from dataclasses import replace

from hypothesis import strategies as st

from ktg.graph import FORMULAS, GATES, LABEL, Data, Edge, Formula, Graph, Node, SourceFile, Train
from ktg.graph.vocabulary import LABEL_LOSSES

# Gates that on an edge from the label need the name of a peer.
COMPARING = ("agree", "disagree")

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,5}", fullmatch=True).filter(
    lambda name: name not in (LABEL, "any")
)
positive = st.floats(1e-6, 100)
texts = st.text(min_size=1).filter(lambda text: "\0" not in text)
scalars = texts | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans()

formulas = st.builds(
    Formula,
    classes=st.integers(2, 1000),
    instances=st.none() | st.integers(1, 1000),
    scale=st.none() | st.sampled_from([0.1, 0.4]),
    patch=st.none() | st.booleans(),
)
_found = st.builds(
    Data,
    name=st.sampled_from(["digits", "cifar100"]),
    size=st.none() | st.integers(4, 64),
    val_fraction=st.floats(0.05, 0.5),
    only=st.none() | st.lists(texts, min_size=2, max_size=3).map(tuple),
    augment=st.sampled_from(["none", "basic"]),
    balance=st.sampled_from(["none", "loss", "sampling"]),
)
_drawn = st.builds(Data, name=st.sampled_from(FORMULAS), formula=st.none() | formulas)
datas = _found | _drawn
trains = st.builds(
    Train,
    epochs=st.integers(10, 200),
    lr=positive,
    nesterov=st.booleans(),
    milestones=st.sets(st.integers(1, 100), max_size=3).map(lambda epochs: tuple(sorted(epochs))),
    clip_norm=st.none() | positive,
    aggregate=st.sampled_from(["sum", "mean"]),
    keep=st.sampled_from(["last", "best"]),
    steps=st.none() | st.integers(200, 1000),
)
sources = st.builds(
    SourceFile,
    path=texts,
    mean=st.none() | st.tuples(positive, positive, positive),
    origin=st.none() | texts,
)


def nodes(source_names: tuple[str, ...] = ()) -> st.SearchStrategy[Node]:
    """Nodes with any useful field set, and sources among `none`, `imagenet` and the given names."""
    built = st.builds(
        Node,
        model=st.sampled_from(["resnet8", "resnet20", "resnet18"]),
        source=st.sampled_from(["none", "imagenet", *source_names]),
        model_args=st.dictionaries(texts, scalars, max_size=2),
        augment=st.none() | st.sampled_from(["randaugment", "pspnet"]),
        frozen_epochs=st.integers(0, 5),
        unfreeze_from=st.none() | st.integers(1, 3) | st.floats(0.1, 0.9),
        unfreeze_every=st.none() | st.integers(1, 3),
        backbone_lr_scale=st.sampled_from([1.0, 0.1]),
        layer_decay=st.sampled_from([1.0, 0.75]),
        frozen_norm=st.booleans(),
        optimizer=st.none() | st.sampled_from(["sgd", "adamw"]),
        lr=st.none() | positive,
        head=st.sampled_from(["new", "probe"]),
        warmup_epochs=st.none() | st.integers(0, 10).map(float),
        clip_norm=st.none() | positive,
    )
    return built.map(
        lambda node: replace(node, frozen_norm=node.frozen_norm and node.source != "none")
    )


def edges(source: str, gates: tuple[str, ...] = GATES) -> st.SearchStrategy[Edge]:
    """Edges that may start at `source`."""
    return st.builds(
        Edge,
        loss=st.sampled_from(LABEL_LOSSES)
        if source == LABEL
        else st.sampled_from(
            ["kl", "js", "dkd", "emd", "dist", "attention", "feature", "embedding"]
        ),
        gate=st.sampled_from([gate for gate in gates if source != LABEL or gate not in COMPARING]),
        weight=st.sampled_from([1.0, 0.5, "learned"]),
        beta=st.sampled_from([8.0, 2.0]),
        distance=st.sampled_from(["features", "/words.txt"]),
        maps=st.none() | st.integers(1, 3),
        temperature=st.sampled_from([1.0, 4.0]),
        over=st.sampled_from(["batch", "kept"]),
        noise=st.sampled_from([0.2, 0.4]),
        exponent=st.sampled_from([0.7, 0.3]),
        trust=st.sampled_from([0.8, 0.1]),
    )


@st.composite
def with_peers(
    draw: st.DrawFn, links: dict[tuple[str, str], Edge], order: list[str]
) -> dict[tuple[str, str], Edge]:
    """The edges, some of those from the label with a peer among the nodes."""
    found = dict(links)
    for (source, target), edge in links.items():
        peer = draw(st.none() | st.sampled_from(order)) if source == LABEL else None
        if peer is not None:
            gates = [edge.gate, "small_loss", *(COMPARING if peer != target else ())]
            found[source, target] = replace(edge, peer=peer, gate=draw(st.sampled_from(gates)))
    return found


@st.composite
def graphs(draw: st.DrawFn, max_nodes: int = 4) -> Graph:
    """Any valid graph, taught or not, in which every field may be set."""
    files = draw(st.dictionaries(names.filter(lambda name: name != "none"), sources, max_size=2))
    order = draw(st.lists(names, min_size=1, max_size=max_nodes, unique=True))
    pairs = [(s, t) for t in order for s in (LABEL, *order) if s != t]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    return Graph(
        data=draw(datas),
        train=draw(trains),
        nodes={name: draw(nodes(tuple(files))) for name in order},
        edges=draw(with_peers({pair: draw(edges(pair[0])) for pair in chosen}, order)),
        sources=files,
        weights=draw(st.dictionaries(st.sampled_from(["resnet20", "resnet18"]), sources)),
        provenance=draw(st.dictionaries(texts, scalars, max_size=2)),
    )


@st.composite
def small_graphs(draw: st.DrawFn, max_nodes: int = 4) -> Graph:
    """Graphs from so few words that two of them often train the same target."""
    order = [f"n{i}" for i in range(draw(st.integers(1, max_nodes)))]
    pairs = [(s, t) for t in order for s in (LABEL, *order) if s != t]
    gates = draw(
        st.lists(
            st.sampled_from(["cutoff", "through", "correct"]),
            min_size=len(pairs),
            max_size=len(pairs),
        )
    )
    kept = zip(pairs, gates, strict=True)
    links = {pair: Edge(loss="ce" if pair[0] == LABEL else "kl", gate=gate) for pair, gate in kept}
    return Graph(
        data=Data(name="digits"),
        nodes={name: Node(model=draw(st.sampled_from(["resnet8", "resnet20"]))) for name in order},
        edges=links,
    )


@st.composite
def disguises(draw: st.DrawFn, graph: Graph) -> Graph:
    """The graph with renamed, reordered auxiliary nodes, and with more cut edges and dead nodes."""
    target, *others = graph.nodes
    count = len(others) + draw(st.integers(0, 2))
    fresh = draw(st.lists(names, min_size=count + 1, max_size=count + 1, unique=True))
    rename = dict(zip([target, *others], fresh, strict=False)) | {LABEL: LABEL}
    dead = fresh[len(graph.nodes) :]
    bodies = {rename[name]: node for name, node in graph.nodes.items()} | {
        name: draw(nodes()) for name in dead
    }
    order = [fresh[0], *draw(st.permutations(fresh[1:]))]
    links = {
        (rename[s], rename[t]): replace(edge, peer=edge.peer and rename[edge.peer])
        for (s, t), edge in graph.edges.items()
    }
    for name in dead:
        links |= {
            (s, name): draw(edges(s)) for s in (LABEL, *fresh) if s != name and draw(st.booleans())
        }
    for t in fresh:
        for s in (LABEL, *fresh):
            if s != t and (s, t) not in links and draw(st.booleans()):
                links[s, t] = draw(edges(s, ("cutoff",)))
    shuffled = dict(draw(st.permutations(list(links.items()))))
    return replace(
        graph,
        nodes={name: bodies[name] for name in order},
        edges=shuffled,
        provenance=draw(st.just({"run": "abc"})),
    )
