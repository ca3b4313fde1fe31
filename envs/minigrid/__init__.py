"""The MiniGrid family (Chevalier-Boisvert et al. 2023): one engine, one file per world."""
