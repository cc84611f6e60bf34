"""Operations by family: each module has a function `operations()`; `network.operations` gathers them all."""
