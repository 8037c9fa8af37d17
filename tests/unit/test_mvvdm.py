"""MV-VDM's network and its published weights (Animate3D's acceptance checks 1 to 5)."""

import pytest
import tiny_mvvdm
import torch
from diffusers import UNet2DConditionModel
from torch.nn.functional import scaled_dot_product_attention

from animate124.errors import UserError
from animate124.priors import published
from animate124.priors.mvvdm import weights
from animate124.priors.mvvdm.attention import place_code, time_code
from animate124.priors.mvvdm.cameras import camera_vectors
from animate124.priors.mvvdm.network import MultiViewUNet

N, F = 2, 3


@pytest.fixture(scope="module")
def net():
    return tiny_mvvdm.network()


def inputs(seed=0, objects=1, views=N, frames=F, height=8, width=8):
    g = torch.Generator().manual_seed(seed)
    return {
        "sample": torch.randn(objects, views, frames, 4, height, width, generator=g),
        "timestep": torch.randint(0, 1000, (objects,), generator=g),
        "text": torch.randn(objects, 5, tiny_mvvdm.WIDTH, generator=g),
        "camera": torch.randn(objects, views, 16, generator=g),
        "image": torch.randn(objects, views, tiny_mvvdm.IMAGE, generator=g),
    }


def shapes(build):
    with torch.device("meta"):
        return {key: tuple(value.shape) for key, value in build().state_dict().items()}


def test_full_size_keys_are_the_published_ones():
    with torch.device("meta"):
        net = MultiViewUNet()
    found = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    base = shapes(published.unet)
    camera = {
        "camera_embedding.linear_1.weight": (1280, 16),
        "camera_embedding.linear_1.bias": (1280,),
        "camera_embedding.linear_2.weight": (1280, 1280),
        "camera_embedding.linear_2.bias": (1280,),
    }
    assert len(base | camera) == 690
    raw = [f"image_proj.{k}" for k in ("proj.weight", "proj.bias", "norm.weight", "norm.bias")]
    raw += [f"ip_adapter.{2 * k + 1}.to_{x}_ip.weight" for k in range(16) for x in "kv"]
    image = weights.image_prompt_names(net, raw)
    assert len(image) == 36
    assert image["ip_adapter.31.to_k_ip.weight"].startswith("mid_block.attentions.0.")
    assert image["ip_adapter.13.to_v_ip.weight"] == (
        "up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_v_ip.weight"
    )
    # 21 modules of 40 tensors, as AnimateDiff's 27 less its one time code, and 16 adapters of 3.
    motion = {k: v for k, v in shapes(published.motion_adapter).items() if not k.endswith(".pe")}
    modules = {key.partition(".transformer_blocks")[0] for key in motion if "attn1" in key}
    assert len(modules) == 21 and len(motion) == 21 * 26
    widths = {"down_blocks.0": 320, "up_blocks.3": 320, "down_blocks.1": 640, "up_blocks.2": 640}
    checkpoint = {}
    for place in modules:
        c = widths.get(place[: len("down_blocks.0")], widths.get(place[: len("up_blocks.0")], 1280))
        for which in ("attn1", "attn2"):
            head = f"{place}.transformer_blocks.0.{which}.processor"
            for x in "qkv":
                checkpoint[f"{head}.to_{x}_sp.weight"] = (c, c)
            checkpoint[f"{head}.to_out_sp.weight"] = (c, c)
            checkpoint[f"{head}.to_out_sp.bias"] = (c,)
            checkpoint[f"{head}.alpha_blender.mix_factor"] = (1,)
            checkpoint[f"{head}.time_pos_embed.pe"] = (1, 32, c)
    for place, c in {k: v[0] for k, v in base.items() if k.endswith("attn1.to_q.weight")}.items():
        head = place.removesuffix("to_q.weight") + "processor"
        checkpoint[f"{head}.to_q_i2v.weight"] = (c, c)
        checkpoint[f"{head}.to_out_i2v.weight"] = (c, c)
        checkpoint[f"{head}.to_out_i2v.bias"] = (c,)
    checkpoint |= motion
    assert len(checkpoint) == 888
    codes = [key for key in checkpoint if weights.is_code(key)]
    assert len(codes) == 42
    ours = {weights.motion_name(k): v for k, v in checkpoint.items() if k not in codes}
    named = base | camera | ours
    assert {k: v for k, v in found.items() if k not in image.values()} == named
    assert len(found) == 690 + 36 + 888 - 42
    assert sum(p.numel() for p in net.parameters()) == pytest.approx(1526.20e6, abs=5e3)
    trained = sum(torch.Size(v).numel() for v in checkpoint.values())
    # With the time codes, which are stored but not trained.
    assert trained == pytest.approx(642.70e6, abs=1.5e6)


def test_camera_parity_vector():
    found = camera_vectors(torch.tensor([0.0]), torch.tensor([15.0]))[0]
    expected = [0, -0.2588, 0.9659, 0.9659, 1, 0, 0, 0, 0, 0.9659, 0.2588, 0.2588, 0, 0, 0, 1]
    assert found.tolist() == pytest.approx(expected, abs=5e-5)
    # From our +x, a quarter turn on, their camera stands on +y and has their −x on its right.
    side = camera_vectors(torch.tensor([90.0]), torch.tensor([0.0])).view(4, 4)
    assert side[:3, 3].tolist() == pytest.approx([0, 1, 0], abs=1e-6)
    assert side[:3, 0].tolist() == pytest.approx([-1, 0, 0], abs=1e-6)


def test_codes():
    assert time_code(4, 6, torch.empty(0))[0].tolist() == [0, 1, 0, 1, 0, 1]
    expected = [
        0.9092974,
        -0.4161468,
        0.0926985,
        0.9956942,
    ]
    # sin 2, cos 2, and of 2 / 10^(4/3)
    assert time_code(3, 6, torch.empty(0))[2, :4].tolist() == pytest.approx(expected, abs=1e-6)
    place = place_code(2, 4, 8, torch.empty(0)).view(2, 4, 8)
    # Row 1 of 2 is at 2π, row 0 at π; the first column of 4 is at π/2, the second at π. Channels
    # are sin, cos, and again at a hundredth of the frequency.
    assert place[0, 1, :2].tolist() == pytest.approx([0, -1], abs=1e-5)
    assert place[0, 0, 4:6].tolist() == pytest.approx([1, 0], abs=1e-5)
    assert place[0, 1, 4:6].tolist() == pytest.approx([0, -1], abs=1e-5)
    assert place[0, 1, 2].item() == pytest.approx(0.0314108, abs=1e-5)  # sin(π/100)


class _Joined:
    """diffusers' attention processor of MVDream: the tokens of all views are one sequence."""

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, **_):
        x = hidden_states
        own = encoder_hidden_states is None
        if own:  # rows are frame by frame, views side by side
            x = x.reshape(-1, N * x.shape[1], x.shape[2])
        y = x if own else encoder_hidden_states
        q, k, v = attn.to_q(x), attn.to_k(y), attn.to_v(y)
        q, k, v = (z.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for z in (q, k, v))
        out = scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return attn.to_out[0](out).view_as(hidden_states)


def test_without_its_additions_it_is_mvdream_frame_by_frame():
    net = tiny_mvvdm.network()
    for name, parameter in net.named_parameters():
        if "to_out_i2v" in name:
            torch.nn.init.zeros_(parameter)
    told = inputs(1)
    told["sample"] = told["sample"][:, :, :1].expand(-1, -1, F, -1, -1, -1).contiguous()
    found = net(**told, image_scale=0.0, motion=False)
    assert torch.allclose(found[:, :, 0], found[:, :, 2], atol=1e-6)

    config = {k: v for k, v in tiny_mvvdm.CONFIG.items() if not k.startswith(("_", "camera"))}
    reference = UNet2DConditionModel(**config).eval()
    base = tiny_mvvdm.parts(net)[0]
    reference.load_state_dict({k: v for k, v in base.items() if not k.startswith("camera")})
    reference.set_attn_processor(_Joined())
    embed, known = reference.time_embedding.forward, net.camera_embedding(told["camera"][0])
    reference.time_embedding.forward = lambda *a, **k: embed(*a, **k) + known
    text = told["text"].expand(N, -1, -1)
    expected = reference(told["sample"][0, :, 1], told["timestep"], text).sample
    assert torch.allclose(found[0, :, 1], expected, atol=1e-5)
    assert expected.abs().max() > 0.1


def test_motion_modules_without_their_spatial_branch_are_animatediffs():
    from diffusers import MotionAdapter, UNetMotionModel

    net = tiny_mvvdm.network()
    for name, parameter in net.named_parameters():
        if name.endswith("mix_factor"):
            parameter.fill_(-40.0)
        if "to_out_i2v" in name:
            parameter.zero_()
    net.camera_embedding.linear_2.weight.zero_()
    net.camera_embedding.linear_2.bias.zero_()
    base, _, motion = tiny_mvvdm.parts(net)
    config = {k: v for k, v in tiny_mvvdm.CONFIG.items() if not k.startswith(("_", "camera"))}
    adapter = MotionAdapter(
        block_out_channels=tiny_mvvdm.WIDTHS,
        motion_layers_per_block=1,
        motion_num_attention_heads=8,
        motion_norm_num_groups=4,
    )
    theirs = UNetMotionModel.from_unet2d(UNet2DConditionModel(**config), adapter).eval()
    known = {k: v for k, v in (base | motion).items() if k in theirs.state_dict()}
    lost = theirs.load_state_dict(known, strict=False).missing_keys
    assert all(key.endswith("pos_embed.pe") for key in lost)
    told = inputs(2, objects=2, views=1)
    found = net(**told, image_scale=0.0)[:, 0]
    expected = theirs(
        told["sample"][:, 0].transpose(1, 2),
        told["timestep"],
        told["text"].repeat_interleave(F, dim=0),
    ).sample.transpose(1, 2)
    assert torch.allclose(found, expected, atol=1e-5)


def test_swapped_views_swap_the_outputs(net):
    told = inputs(3, views=4)
    order = torch.tensor([2, 0, 3, 1])
    swapped = {
        key: value[:, order] if key in ("sample", "camera", "image") else value
        for key, value in told.items()
    }
    assert torch.allclose(net(**swapped), net(**told)[:, order], atol=1e-5)
    # And a view hears of the others.
    told["sample"] = told["sample"].clone()
    before = net(**told)[:, 0]
    told["sample"][:, 3] += 1.0
    assert (net(**told)[:, 0] - before).abs().amax() > 1e-4


def test_all_frames_look_at_frame_0(net):
    quiet = {"image_scale": 0.0, "motion": False}  # the adapter is the only way
    told = inputs(4)
    before = net(**told, **quiet)
    told["sample"] = told["sample"].clone()
    told["sample"][:, :, 0] = torch.randn_like(told["sample"][:, :, 0])
    changes = (net(**told, **quiet) - before).abs().amax(dim=(0, 1, 3, 4, 5))
    assert bool((changes > 1e-4).all())
    told["sample"][:, :, 1] += 1.0
    after = net(**told, **quiet)
    assert torch.allclose(net(**told, **quiet)[:, :, 2], after[:, :, 2])


@pytest.mark.parametrize("size", [(1, 1, 8, 8), (3, 5, 6, 10), (4, 2, 7, 9)])
def test_any_numbers_of_views_frames_rows_and_columns(net, size):
    told = inputs(5, 2, *size)
    found = net(**told)
    assert found.shape == told["sample"].shape and bool(found.isfinite().all())


def test_an_object_is_not_touched_by_the_others_of_a_batch(net):
    told = inputs(6, objects=2)
    both = net(**told)
    for k in range(2):
        alone = net(**{key: value[k : k + 1] for key, value in told.items()})
        assert torch.allclose(alone, both[k : k + 1], atol=1e-5)


def test_layers_computed_again_give_the_same_gradients(net):
    told = inputs(7)
    grads = []
    for again in (False, True):
        fresh = tiny_mvvdm.network().train().requires_grad_(True)
        fresh.checkpoint_layers(again)
        fresh(**told).square().mean().backward()
        grads.append(fresh.conv_in.weight.grad)
    assert torch.allclose(*grads, atol=1e-6)


@pytest.mark.parametrize("pickled", [False, True])
def test_published_parts_are_read_whole(tmp_path, pickled):
    net = tiny_mvvdm.published(tmp_path, pickled=pickled)
    places = [tmp_path / name for name in ("animate3d", "mvdream", "ip-adapter")]
    found, report = weights.load_published(*places, torch.float32)
    state = net.state_dict()
    assert found.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[key]) for key, value in found.state_dict().items())
    base, image, motion = tiny_mvvdm.parts(net)
    assert dict(report.tensors) == {
        "base": len(base), "image prompt": len(image), "motion": len(motion),
    }  # fmt: skip
    assert report.code_error < 1e-6
    mixes = {k: v for k, v in state.items() if k.endswith("mix_factor")}
    assert len(report.spatial_share) == len(mixes) == 2 * 7  # 2 and 1 and 4 motion modules
    for key, value in mixes.items():
        share = report.spatial_share[key.removesuffix(".mix_factor")]
        assert share == pytest.approx(1 / (1 + 2.718281828 ** -value.item()), abs=1e-6)
    assert not any(p.requires_grad for p in found.parameters())


def _damaged(tmp_path, change):
    net = tiny_mvvdm.published(tmp_path)
    path = tmp_path / "animate3d" / weights.CHECKPOINT
    motion = torch.load(path, weights_only=True)
    change(motion)
    torch.save(motion, path)
    places = [tmp_path / name for name in ("animate3d", "mvdream", "ip-adapter")]
    with pytest.raises(UserError) as error:
        weights.load_published(*places, torch.float32)
    assert net is not None
    return str(error.value)


def test_a_missing_a_spare_and_a_wrong_tensor_are_told(tmp_path):
    key = "mid_block.motion_modules.0.proj_in.weight"

    def change(motion):
        del motion[key]
        motion["mid_block.motion_modules.9.proj_in.weight"] = torch.zeros(2)
        motion["mid_block.motion_modules.0.proj_in.bias"] = torch.zeros(3)

    told = _damaged(tmp_path, change)
    assert f"1 missing ({key}" in told and "1 unknown (mid_block.motion_modules.9" in told
    assert "1 misshapen (mid_block.motion_modules.0.proj_in.bias" in told


def test_another_time_code_is_refused(tmp_path):
    key = "mid_block.motion_modules.0.transformer_blocks.0.attn1.processor.time_pos_embed.pe"
    told = _damaged(tmp_path, lambda motion: motion[key].mul_(1.01))
    assert key in told and "time code" in told


def test_ip_adapter_plus_is_refused(net):
    with pytest.raises(UserError, match="latents is not of IP-Adapter's base model"):
        weights.image_prompt_names(net, ["image_proj.latents"])


def test_our_own_is_read_on_its_base(tmp_path, net):
    from animate124.media.tensors import save_tensors

    place = tmp_path / "unet"
    place.mkdir()
    net.save_config(place)
    state = net.state_dict()
    kept = {k: v for k, v in state.items() if not k.startswith("mid_block.resnets")}
    save_tensors(place / weights.WEIGHTS, kept, kind="multi-view-video", version=1)
    other = {k: v + 1.0 for k, v in state.items() if k not in kept} | {"spare": torch.zeros(1)}
    found = weights.load_delta(place, other, torch.float32).state_dict()
    for key, value in state.items():
        assert torch.equal(found[key], value if key in kept else value + 1.0)
    with pytest.raises(UserError, match=r"missing \(mid_block.resnets"):
        weights.load_delta(place, {}, torch.float32)


def test_the_whole_network_is_saved_and_loaded_as_diffusers_do(tmp_path, net):
    net.save_pretrained(tmp_path)
    again = MultiViewUNet.from_pretrained(tmp_path, local_files_only=True)
    told = inputs(8)
    assert torch.allclose(again(**told), net(**told), atol=1e-5)
