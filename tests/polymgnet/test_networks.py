"""Networks from the command line: their list, and what is done with a trained one."""

import nets


def test_models_are_those_of_the_registry_with_what_they_cost(document, run, monkeypatch):
    """A level of c channels costs 2 * 9 c^2 operations a pixel and product with A."""
    data = document("models", "q2", "q3", "resnet20", "--size", 8, "--channels", 1, "--width", 16)
    q2, q3, resnet = data["models"]
    assert [one["name"] for one in data["models"]] == ["q2", "q3", "resnet20"]
    assert (q2["degree"], q3["degree"], resnet["degree"]) == ([2] * 4, [3] * 4, [])
    model = nets.create_model("q2", width=16, in_channels=1)
    assert q2["weights"] == sum(p.numel() for p in model.parameters())
    channels = [level.A.in_channels for level in model.levels]
    products = [2 * 9 * c**2 * (8 // 2**l) ** 2 for l, c in enumerate(channels)]
    assert q3["flops"] - q2["flops"] == sum(products)
    monkeypatch.setattr(nets, "list_models", lambda: ["q2"])
    line = run("models", "--size", 8, "--channels", 1, "--width", 16).out.splitlines()[4]
    assert line.split()[:4] == ["q2", f"{q2['weights']:,}", f"{q2['flops'] / 1e6:.1f}", "2"]


def test_an_unknown_network_is_refused(refused):
    assert "unknown model 'zebra', known are: q2" in refused("models", "zebra")
